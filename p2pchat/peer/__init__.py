"""The peer: contacts, links, chats, and the commands that a front end gives."""
