from tests.web.v1.conftest import served

__all__ = ["served"]
