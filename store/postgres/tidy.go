package postgres

import "time"

const (
	// Old rows are removed so often, and for the first time when the start is over.
	tidyEvery = 10 * time.Minute
	tidyFirst = time.Minute
)

// keepTidy removes old rows until the store is closed.
func (s *Store) keepTidy() {
	next := time.NewTimer(tidyFirst)
	defer next.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-next.C:
		}
		if err := s.tidy(s.ctx); err != nil && s.ctx.Err() == nil {
			s.db.log.Warn("store: old rows were not removed; it is tried again", "error", err)
		}
		next.Reset(tidyEvery)
	}
}
