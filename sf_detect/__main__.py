"""`python -m sf_detect`: the `sf-detect` command, for `torchrun -m sf_detect train CONFIG`."""

from sf_detect.cli import main

if __name__ == "__main__":
    main()
