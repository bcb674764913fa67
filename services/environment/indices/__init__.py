"""What the environment is judged by: air, noise, emissions, weather, and where pollution comes from. All pure."""
