package transfer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
)

// One Import has so many rows, or so many bytes of them.
const (
	fillRows  = 1000
	fillBytes = 1 << 20
)

// Tell is told how far a transfer is: the table of the last row, and how many rows there
// were in all. nil: nobody is.
type Tell func(table store.Table, rows int64)

func (t Tell) row(r store.Row, n int64) {
	if t != nil {
		t(r.Table, n)
	}
}

// Backup writes all rows to w and ends it, and returns what is in it.
func Backup(ctx context.Context, s store.Portable, w *archive.Writer, tell Tell) (archive.Totals, error) {
	n := int64(0)
	err := s.Export(ctx, func(r store.Row) error {
		n++
		tell.row(r, n)
		return w.Add(r)
	})
	if err != nil {
		return nil, err
	}
	return w.Close()
}

// Check reads all rows, and returns what they are.
func Check(rows Rows, tell Tell) (archive.Totals, error) {
	totals := archive.Totals{}
	n := int64(0)
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		n++
		tell.row(r, n)
		totals.Add(r)
	}
	return totals, nil
}

// Fill takes all rows into the target, and returns what they are. Where it fails, it can be
// done again.
func Fill(ctx context.Context, rows Rows, into store.Target, tell Tell) (archive.Totals, error) {
	totals := archive.Totals{}
	var part []store.Row
	size, n := 0, int64(0)
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		if err := into.Import(ctx, part); err != nil {
			return err
		}
		tell.row(part[len(part)-1], n)
		part, size = part[:0], 0
		return nil
	}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		r.Data = bytes.Clone(r.Data) // it waits, and who emitted it may use it again
		part = append(part, r)
		size += len(r.Data)
		n++
		totals.Add(r)
		if len(part) >= fillRows || size >= fillBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return totals, flush()
}

// Compare goes through both side by side, and returns what they are where they are the
// same; archive.ErrDiffers names the first row that is not. The copy may have rows that
// want has lost to time since: of sessions, of challenges and of attempts.
func Compare(want, got Rows, tell Tell) (archive.Totals, error) {
	totals := archive.Totals{}
	w, stopWant := side(want)
	defer stopWant()
	g, stopGot := side(got)
	defer stopGot()
	n := int64(0)
	for {
		if w.err != nil {
			return nil, w.err
		}
		if g.err != nil {
			return nil, fmt.Errorf("reading the copy: %w", g.err)
		}
		switch c := w.compare(g); {
		case !w.more && !g.more:
			return totals, nil
		case c < 0:
			return nil, fmt.Errorf("%w: a row of table %s is missing in it%s", archive.ErrDiffers, w.row.Table, which(w.row))
		case c > 0 && !passing(g.row.Table):
			return nil, fmt.Errorf("%w: a row of table %s is in it alone%s", archive.ErrDiffers, g.row.Table, which(g.row))
		case c > 0:
			g.next()
			continue
		case !bytes.Equal(w.row.Data, g.row.Data):
			return nil, fmt.Errorf("%w: a row of table %s says something else%s", archive.ErrDiffers, w.row.Table, which(w.row))
		}
		n++
		tell.row(w.row, n)
		totals.Add(w.row)
		w.next()
		g.next()
	}
}

// passing reports whether time takes rows of the table away.
func passing(t store.Table) bool {
	return t == store.Sessions || t == store.Challenges || t == store.Attempts
}

// which names the row where its name is no secret and nobody's address.
func which(r store.Row) string {
	switch r.Table {
	case store.Users, store.Organizations, store.APIKeys, store.Campaigns, store.Events:
		return fmt.Sprintf(" (%q)", r.ID)
	}
	return ""
}

// reading is one side of a comparison.
type reading struct {
	row  store.Row
	err  error
	more bool
	pull func() (store.Row, error, bool)
}

func side(rows Rows) (*reading, func()) {
	next, stop := iter.Pull2(rows)
	r := &reading{pull: next}
	r.next()
	return r, stop
}

func (r *reading) next() { r.row, r.err, r.more = r.pull() }

// compare says which of the two rows comes first; one that is not there comes last.
func (r *reading) compare(o *reading) int {
	switch {
	case !r.more && !o.more:
		return 0
	case !r.more:
		return 1
	case !o.more:
		return -1
	}
	place := func(t store.Table) int { return slices.Index(store.Exported, t) }
	return cmp.Or(cmp.Compare(place(r.row.Table), place(o.row.Table)), cmp.Compare(r.row.ID, o.row.ID))
}

// Size returns about how many rows a store has, from its counters: users and events, which
// most rows are.
func Size(ctx context.Context, s mfa.Store) (int64, error) {
	users, err := s.CountUsers(ctx)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, of := range users {
		n += int64(of)
	}
	ends, err := s.ChainEnds(ctx)
	if err != nil {
		return 0, err
	}
	return n + int64(ends.Last) - int64(ends.First) + 1, nil //nolint:gosec // as many as there are events
}
