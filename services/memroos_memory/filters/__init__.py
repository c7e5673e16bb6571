"""The filter language: checked, compiled to parameterised SQL, and evaluated by a plain reference."""
