package badger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	// lookAtUsers is how many users one page looks at. A query that matches next to
	// nobody must not read a million of them in one call. Whose record has to be read
	// counts as so many: that takes as much longer.
	lookAtUsers = 4096
	readCost    = 8
	// maxRulings is how many facets are looked up at most to spare reading a record.
	maxRulings = 6
)

// ListUsers implements mfa.Users. The cursor is the index entry that was looked at last,
// sealed: it may be the name of somebody whom the query does not match, and whoever
// administrates one organization must not read there who is in another.
func (s *Store) ListUsers(ctx context.Context, q mfa.UserQuery, after string, limit int) ([]*mfa.User, string, error) {
	if limit < 1 {
		return nil, "", nil
	}
	from, err := s.openCursor(q, after)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	var (
		page []*mfa.User
		last string
		more bool
	)
	err = s.view(ctx, func(txn *badger.Txn) error {
		w := newWalk(txn, s.rowsToWalk(q), from)
		defer w.close()
		r := s.rulingsOf(q)
		for looked := 0; ; {
			entry, ok := w.next()
			if !ok {
				return nil
			}
			if more = looked >= lookAtUsers; more {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			out, err := r.out(txn, entry)
			if err != nil {
				return fmt.Errorf("listing users: %w", err)
			}
			if out {
				looked, last = looked+1, entry
				continue
			}
			looked += readCost
			u, err := s.readListed(txn, q, entry)
			if err != nil {
				return fmt.Errorf("listing users: %w", err)
			}
			if u != nil {
				// Whether there is another page is only known here.
				if more = len(page) == limit; more {
					return nil
				}
				page = append(page, u)
			}
			last = entry
		}
	})
	if err != nil || !more {
		return page, "", err
	}
	next, err := s.sealCursor(q, last)
	if err != nil {
		return nil, "", fmt.Errorf("listing users: %w", err)
	}
	return page, next, nil
}

// rowsToWalk returns what the rows begin with that lead to those whom q matches.
func (s *Store) rowsToWalk(q mfa.UserQuery) []string {
	switch {
	case q.Search != "":
		return []string{termPrefix + clipTerm(q.Search)}
	case len(q.Where) > 0:
		var list []string
		for _, f := range q.Where[0] {
			list = append(list, s.facetRows(f))
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	return []string{namePrefix}
}

// readListed returns the user that the entry leads to, or nil where q does not match, or
// where another entry of the same list does the leading.
func (s *Store) readListed(txn *badger.Txn, q mfa.UserQuery, entry string) (*mfa.User, error) {
	search := clipTerm(q.Search)
	key := search + entry // a name or a term, and the user
	at := strings.LastIndex(key, separator)
	switch {
	case at < 0:
		return nil, errIndex
	case at < len(search):
		return nil, nil // what was searched for reaches into the ID
	}
	var u mfa.User
	err := s.readUser(txn, mfa.UserID(key[at+1:]), &u)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, errIndex
	}
	if err != nil {
		return nil, err
	}
	if search == "" {
		if u.Name != key[:at] {
			return nil, errIndex
		}
	} else {
		terms := searchTerms(&u)
		i := slices.IndexFunc(terms, func(t string) bool { return strings.HasPrefix(t, search) })
		if !slices.Contains(terms, key[:at]) {
			return nil, errIndex
		}
		if terms[i] != key[:at] {
			return nil, nil // it stood before already
		}
	}
	if q.Search == "" && len(q.Where) > 0 && !(mfa.UserQuery{Where: q.Where[:1]}).Matches(&u) {
		return nil, errIndex
	}
	if !q.Matches(&u) {
		return nil, nil
	}
	return &u, nil
}

// rulings are what the index alone says against somebody.
type rulings struct {
	need [][]string // of each at least one row
	not  []string
}

// rulingsOf returns nothing where reading the records is as fast.
func (s *Store) rulingsOf(q mfa.UserQuery) (r rulings) {
	rows := func(facets []mfa.Facet) (list []string) {
		for _, f := range facets {
			list = append(list, s.facetRows(f))
		}
		return list
	}
	if q.Search != "" {
		return r // its rows say nothing of names, which the others begin with
	}
	n := len(q.Not)
	for i, any := range q.Where {
		if i > 0 { // the walk goes along the first
			r.need = append(r.need, rows(any))
			n += len(any)
		}
	}
	if n > maxRulings {
		return rulings{}
	}
	r.not = rows(q.Not)
	return r
}

// out reports whether the index says that the query does not match whom the entry leads
// to. Where it does not say so, the record decides.
func (r rulings) out(txn *badger.Txn, entry string) (bool, error) {
	has := func(rows string) (bool, error) {
		_, err := txn.Get([]byte(rows + entry))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading from the store: %w", err)
		}
		return true, nil
	}
	for _, any := range r.need {
		found := false
		for _, rows := range any {
			var err error
			if found, err = has(rows); err != nil {
				return false, err
			}
			if found {
				break
			}
		}
		if !found {
			return true, nil
		}
	}
	for _, rows := range r.not {
		if found, err := has(rows); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// errIndex says that an index row leads to nobody, or to somebody who is not of it.
var errIndex = fmt.Errorf("the index does not fit: %w", store.ErrDamaged)

// cursorPlace binds cursors to their query.
func (s *Store) cursorPlace(q mfa.UserQuery) (string, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	return s.index.hash(16, "cursor:"+string(text)), nil
}

func (s *Store) sealCursor(q mfa.UserQuery, entry string) (string, error) {
	place, err := s.cursorPlace(q)
	if err != nil {
		return "", err
	}
	record, err := s.codec.Encode(store.Cursors, place, []byte(entry))
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(record), nil
}

func (s *Store) openCursor(q mfa.UserQuery, cursor string) (entry string, err error) {
	if cursor == "" {
		return "", nil
	}
	place, err := s.cursorPlace(q)
	if err != nil {
		return "", err
	}
	record, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", mfa.ErrCursor
	}
	var raw []byte
	if s.codec.Decode(record, store.Cursors, place, &raw) != nil || len(raw) == 0 {
		return "", mfa.ErrCursor
	}
	return string(raw), nil
}

// walk goes through the rows of several prefixes at once, in the order of what follows
// the prefix; what stands under several of them comes once.
type walk struct {
	prefixes []string
	rows     []*badger.Iterator
	heads    []string // what each would give next
	over     []bool
}

// newWalk begins behind after; "" is the beginning.
func newWalk(txn *badger.Txn, prefixes []string, after string) *walk {
	w := &walk{prefixes: prefixes, heads: make([]string, len(prefixes)), over: make([]bool, len(prefixes))}
	for i, prefix := range prefixes {
		opts := badger.DefaultIteratorOptions
		opts.PrefetchValues = false
		opts.Prefix = []byte(prefix)
		it := txn.NewIterator(opts)
		w.rows = append(w.rows, it)
		it.Seek([]byte(prefix + after))
		w.read(i)
		if after != "" && w.heads[i] == after && !w.over[i] {
			it.Next()
			w.read(i)
		}
	}
	return w
}

func (w *walk) read(i int) {
	if w.over[i] = !w.rows[i].Valid(); !w.over[i] {
		w.heads[i] = string(w.rows[i].Item().Key()[len(w.prefixes[i]):])
	}
}

func (w *walk) next() (entry string, ok bool) {
	for i, head := range w.heads {
		if !w.over[i] && (!ok || head < entry) {
			entry, ok = head, true
		}
	}
	for i, head := range w.heads {
		if ok && !w.over[i] && head == entry {
			w.rows[i].Next()
			w.read(i)
		}
	}
	return entry, ok
}

func (w *walk) close() {
	for _, it := range w.rows {
		it.Close()
	}
}

// CountUsers implements mfa.Users.
func (s *Store) CountUsers(ctx context.Context, facets ...mfa.Facet) (map[mfa.Kinds]int, error) {
	sorted, ok := mfa.CountedGroup(facets...)
	if !ok {
		return nil, fmt.Errorf("counting users: nobody counts by %q", facets)
	}
	sum := make(map[mfa.Kinds]int)
	g := s.groupOf(sorted)
	err := s.view(ctx, func(txn *badger.Txn) error {
		return scan(txn, prefixes[store.Counters]+string(g), "", func(shard string) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			var c counter
			if err := s.read(txn, row{store.Counters, string(g) + shard}, &c); err != nil {
				return false, fmt.Errorf("counting users: %w", err)
			}
			for name, n := range c {
				sum[parseFactors(name)] += n
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	for k, n := range sum {
		if n == 0 {
			delete(sum, k)
		}
	}
	return sum, nil
}
