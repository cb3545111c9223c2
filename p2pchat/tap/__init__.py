"""twistd's door: options, services, and the only imports of the reactor."""
