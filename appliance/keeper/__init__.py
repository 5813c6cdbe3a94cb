"""pump-keeper: the housekeeper, never needed for delivery."""
