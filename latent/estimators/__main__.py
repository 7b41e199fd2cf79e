"""`python -m latent.estimators` prints the page `docs/estimators.md`."""

from latent.estimators.documentation import page

if __name__ == "__main__":
    print(page(), end="")
