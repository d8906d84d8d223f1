from sf_detect.video.damage import DamageGate

GOP, FPS = 30, 30.0


def watch(gate: DamageGate, numbers: range | list[int], corrupt: tuple[int, ...] = ()) -> list[int]:
    """Which of the pictures that come are damaged; `corrupt` are those that the demuxer marks."""
    damaged = []
    for number in numbers:
        gate.packet(number / FPS, number in corrupt)
        if gate.picture(number / FPS, number % GOP == 0, False):
            damaged.append(number)
    return damaged


def test_nothing_lost_nothing_damaged() -> None:
    assert watch(DamageGate(lossy=True), range(100)) == []


def test_from_a_loss_to_the_next_key_picture() -> None:
    assert watch(DamageGate(), range(100), corrupt=(40,)) == list(range(40, 60))


def test_a_picture_that_the_decoder_marks() -> None:
    gate = DamageGate()
    assert gate.picture(0.0, True, False) is False
    assert gate.picture(0.1, False, True) is True
    assert gate.picture(0.2, False, False) is True
    assert gate.picture(0.3, True, False) is False


def test_a_key_picture_that_is_damaged_itself_helps_nothing() -> None:
    assert watch(DamageGate(), range(100), corrupt=(60,)) == list(range(60, 90))


def test_a_packet_that_does_not_decode() -> None:
    gate = DamageGate()
    watch(gate, range(5))
    gate.packet(5 / FPS, False)
    gate.lost()
    assert watch(gate, range(6, 100)) == list(range(6, 30))


def test_a_whole_picture_that_is_gone_shows_in_the_stamps() -> None:
    numbers = [number for number in range(100) if number != 40]
    assert watch(DamageGate(lossy=True), numbers) == list(range(41, 60))


def test_a_transport_that_loses_nothing_may_pause() -> None:
    numbers = [number for number in range(100) if number != 40]
    assert watch(DamageGate(), numbers) == []


def test_a_gap_before_a_key_picture_harms_nothing() -> None:
    numbers = [number for number in range(100) if number != 59]
    assert watch(DamageGate(lossy=True), numbers) == []


def test_stamps_that_jitter_are_no_gap() -> None:
    gate = DamageGate(lossy=True)
    for number in range(200):
        stamp = (number + 0.2 * (-1) ** number) / FPS
        gate.packet(stamp, False)
        assert not gate.picture(stamp, number % GOP == 0, False)


def test_a_lower_rate_is_taken_for_a_loss_until_it_is_the_usual_one() -> None:
    gate = DamageGate(lossy=True)
    watch(gate, range(60))
    assert watch(gate, range(60, 400, 2)) == list(range(62, 90, 2))


def test_one_long_gap_does_not_hide_the_losses_behind_it() -> None:
    gate = DamageGate(lossy=True)
    watch(gate, range(60))
    assert watch(gate, [900, 901, 902, *range(904, 960)]) == list(range(904, 930))


def test_a_decoder_that_hands_out_late_is_not_believed_about_earlier_key_pictures() -> None:
    gate = DamageGate()
    for number in range(32):
        gate.packet(number / FPS, number == 31)
        if number >= 2:
            late = number - 2
            damaged = gate.picture(late / FPS, late % GOP == 0, False)
    assert damaged, "picture 29 came out behind the loss of 31"
    gate.packet(32 / FPS, False)
    assert gate.picture(30 / FPS, True, False), "the key picture was sent before the loss"


def test_without_stamps_the_next_key_picture_counts() -> None:
    gate = DamageGate(lossy=True)
    gate.packet(None, True)
    assert gate.picture(None, False, False)
    assert not gate.picture(None, True, False)


def test_stamps_that_jump_back_meanwhile() -> None:
    gate = DamageGate()
    watch(gate, range(9000, 9010), corrupt=(9005,))
    assert watch(gate, range(1, 100)) == list(range(1, 30))
