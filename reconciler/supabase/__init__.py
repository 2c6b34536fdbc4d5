"""What the source and the target that live in a Supabase project share: its data interface, spoken by `wire`."""
