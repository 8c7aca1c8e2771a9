package postgres

import "context"

func (s *Store) tidy(context.Context) error { return nil }
