"""What workflow code asks the runtime for: a command each, met with what the journal holds or carried out."""
