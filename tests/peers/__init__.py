"""The other side: small senders and receivers that tests run against."""
