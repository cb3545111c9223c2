"""Front ends: they talk to people and programs through `p2pchat.api` alone."""
