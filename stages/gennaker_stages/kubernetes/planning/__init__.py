"""What a deploy would change, object by object and field by field."""
