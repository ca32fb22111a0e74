"""Deployment search: every legal layout of a model under objectives and one limited resource."""
