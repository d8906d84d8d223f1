import math

import pytest
import torch
from torch import nn

from sf_detect.errors import TrainingError, UnknownNameError, WeightsError
from sf_detect.training.loop import MovingAverage, Schedule, Trainer


def trainer(seed=0, steps=8):
    torch.manual_seed(seed)
    model = nn.Linear(3, 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)

    def loss(batch):
        value = (model(batch) - batch.sum(1, keepdim=True)).square().mean()
        return value, {"size": float(len(batch))}

    return Trainer(model, model, optimiser, Schedule(steps, 2), loss, decay=0.9)


def batches(count=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, generator=generator) for _ in range(count)]


def test_schedule_warms_up_and_falls_by_half_a_cosine():
    schedule = Schedule(steps=12, warmup=2, floor=0.0)
    assert [schedule(0), schedule(1), schedule(2)] == [0.5, 1.0, 1.0]
    assert schedule(7) == pytest.approx(0.5)
    assert schedule(12) == pytest.approx(0.0)
    assert schedule(99) == pytest.approx(0.0)


def test_loss_falls():
    run = trainer()
    first = run.epoch(batches())
    assert first["size"] == 5
    assert run.epoch(batches())["loss"] < first["loss"]


def test_average_follows_weights_and_buffers():
    model = nn.BatchNorm1d(2)
    average = MovingAverage(model, 0.5)
    nn.init.constant_(model.weight, 3.0)
    model.running_mean.fill_(4.0)
    for _ in range(60):
        average.update(model)
    assert average.model.weight[0].item() == pytest.approx(3.0, abs=1e-3)
    assert average.model.running_mean[0].item() == pytest.approx(4.0, abs=1e-3)
    assert not average.model.training


def test_resumed_run_equals_one_that_was_not_interrupted(tmp_path):
    whole = trainer()
    whole.epoch(batches())
    whole.epoch(batches())
    first = trainer()
    first.epoch(batches())
    first.save(tmp_path / "run.pt", 1)
    second = trainer(seed=5)
    assert second.resume(tmp_path / "run.pt") == 1
    second.epoch(batches())
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(whole.average.model.parameters(), second.average.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_to_resume(tmp_path):
    assert trainer().resume(tmp_path / "none.pt") == 0


def test_refuses_a_foreign_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"model": {}}, path)
    with pytest.raises(WeightsError, match="delete it to start again"):
        trainer().resume(path)


def test_stops_where_the_loss_is_not_finite():
    with pytest.raises(TrainingError, match=r"loss is \S+ at step 0; .* Lower the learning rate"):
        trainer().epoch([torch.full((2, 3), math.inf)])


def test_stops_where_the_gradient_is_not_finite():
    run = trainer()
    run.loss = lambda batch: (run.model(batch * 0).abs().sqrt().sum() * 0, {})  # the slope of a root at zero
    nn.init.zeros_(run.model.bias)
    with pytest.raises(TrainingError, match="gradient's norm is nan at step 0"):
        run.epoch(batches(1))


def test_spoilt_weights_replace_no_checkpoint(tmp_path):
    run = trainer()
    run.save(tmp_path / "run.pt", 1)
    before = (tmp_path / "run.pt").read_bytes()
    nn.init.constant_(run.model.weight, math.inf)
    with pytest.raises(TrainingError, match="largest weight is inf"):
        run.save(tmp_path / "run.pt", 2)
    assert (tmp_path / "run.pt").read_bytes() == before


def test_parts_of_a_step_add_up_to_the_whole():
    whole, parted = trainer(), trainer()
    (batch,) = batches(1)
    first = whole.train_step([batch])
    second = parted.train_step([batch[:2], batch[2:]], [0.4, 0.6])
    assert first["loss"] == pytest.approx(second["loss"])
    torch.testing.assert_close(whole.model.weight, parted.model.weight)


def test_bf16_and_fp16_train_and_an_unknown_precision_does_not():
    torch.manual_seed(0)
    for precision in ("bf16", "fp16"):
        model = nn.Linear(3, 1)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
        seen = []

        def loss(batch, model=model, seen=seen):
            out = model(batch)
            seen.append(out.dtype)
            return out.float().square().mean(), {}

        run = Trainer(model, model, optimiser, Schedule(10, 0), loss, precision=precision)
        first, last = run.epoch(batches()), run.epoch(batches())
        assert last["loss"] < first["loss"]
        assert seen[0] == {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with pytest.raises(UnknownNameError, match="bf16"):
        Trainer(model, model, optimiser, Schedule(10, 0), loss, precision="fp8")


def test_an_interruption_while_saving_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    run = trainer()
    run.save(tmp_path / "run.pt", 1)
    save = torch.save

    def interrupted(state, file):
        save({"epoch": 2}, file)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.save(tmp_path / "run.pt", 2)
    assert trainer().resume(tmp_path / "run.pt") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def normalising(precision="fp32", **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss(batch):
        return model(batch).float().square().mean(), {}

    return Trainer(model, model, optimiser, Schedule(10, 0), loss, precision=precision, **options)


def state(run):
    parts = {"model": run.model, "average": run.average.model}
    return {f"{name}.{key}": value.clone() for name, part in parts.items() for key, value in part.state_dict().items()}


def same(before, after):
    return all(torch.equal(value, after[key]) for key, value in before.items())


GOOD, BAD = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), torch.full((5, 3), math.inf)


@pytest.mark.parametrize("parts", [[BAD], [GOOD, BAD], [BAD, GOOD]])
def test_a_step_whose_loss_is_not_finite_moves_nothing(parts):
    run = normalising()
    run.train_step([GOOD])
    before = state(run)
    with pytest.raises(TrainingError, match="loss is"):
        run.train_step(parts, [1 / len(parts)] * len(parts))
    assert same(before, state(run))
    assert (run.step, run.average.steps) == (1, 1)
    run.train_step([GOOD])
    assert not same(before, state(run))


def test_a_step_whose_gradient_is_not_finite_moves_nothing():
    run = normalising()
    before = state(run)
    run.loss = lambda batch: ((run.model(batch) * 0).abs().sqrt().sum() * 0, {})
    with pytest.raises(TrainingError, match="gradient's norm is nan"):
        run.train_step([GOOD])
    assert same(before, state(run))


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_step_that_the_scaler_leaves_out_moves_nothing(clip_norm):
    run = normalising("fp16", clip_norm=clip_norm)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    run.train_step([GOOD])
    usual, before, scale = run.loss, state(run), run.scaler.get_scale()
    run.loss = lambda batch: (usual(batch)[0] * 1e35, {})  # times the scale it overflows, the loss itself does not
    run.train_step([GOOD, GOOD], [0.5, 0.5])
    assert same(before, state(run))
    assert (run.step, run.average.steps) == (2, 1)  # the schedule goes on
    assert run.scaler.get_scale() < scale
    run.loss = usual
    run.train_step([GOOD])
    assert not same(before, state(run))


def test_a_gradient_whose_norm_alone_overflows_is_left_out():
    run = normalising("fp16", clip_norm=None)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    usual, before = run.loss, state(run)
    run.loss = lambda batch: (usual(batch)[0] * 1e37, {})
    run.train_step([GOOD])
    assert same(before, state(run))


def test_what_fails_inside_a_step_moves_nothing():
    run = normalising()
    before = state(run)

    def loss(batch):
        run.model(batch)
        raise KeyboardInterrupt

    run.loss = loss
    with pytest.raises(KeyboardInterrupt):
        run.train_step([GOOD])
    assert same(before, state(run))
