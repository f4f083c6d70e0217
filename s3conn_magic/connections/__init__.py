"""What a connection is: settings, credentials, clients, the registry."""
