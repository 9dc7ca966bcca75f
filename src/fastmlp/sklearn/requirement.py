"""What must be installed."""


def check_installation() -> None:
    """Complain of a scikit-learn that is missing, or too old.

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        from sklearn.utils.validation import validate_data  # noqa: F401 # there since 1.6
    except ImportError:
        raise ImportError(
            "scikit-learn 1.6 or newer must be installed for fastmlp.sklearn: `pip install fastmlp[sklearn]`"
        ) from None
