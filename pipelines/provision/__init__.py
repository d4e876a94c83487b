"""Sets up n8n and Open WebUI without a click; the same code natively, in compose and on ECS."""
