"""What can go wrong in a search, each with one clear sentence."""


class SearchError(ValueError):
    """A landscape, an argument or a network cannot serve: what arrived, what was wanted, what to do."""
