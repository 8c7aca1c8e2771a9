package badger

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

const (
	// maxTerm is how much of a term is indexed; the record says the rest.
	maxTerm = 200
	// Counters are cut into so many shards, by user: each is a row that one writer at
	// a time can change, and whoever creates users creates many at a time.
	shards = 64
)

// indexMeta says how users are indexed.
type indexMeta struct {
	Version int `json:"version"`
	// Key hides which row is which facet: whoever reads the folder must not learn who
	// has no second factor.
	Key mfa.Secret `json:"key"`
	// Building says that the rows are not all there yet.
	Building bool `json:"building,omitempty"`
}

// indexVersion is the version of the index rows and counters. It grows when Facets,
// Terms or CountedIn of a user change, so that all are built anew.
const indexVersion = 1

var indexRow = row{store.Meta, "index"}

func newIndex() (*indexMeta, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making the key of the index: %w", err)
	}
	return &indexMeta{Version: indexVersion, Key: key}, nil
}

// hash returns so many bytes that stand for text.
func (i *indexMeta) hash(size int, text string) string {
	h := hmac.New(sha256.New, i.Key)
	h.Write([]byte(text))
	return string(h.Sum(nil)[:size])
}

// facetRows is what the rows of that facet begin with.
func (s *Store) facetRows(f mfa.Facet) string {
	return facetPrefix + s.index.hash(8, "facet:"+string(f))
}

// group is a group of users that are counted.
type group string

func (s *Store) groupOf(facets []mfa.Facet) group {
	var b strings.Builder
	for _, f := range facets {
		// With its length, so that no two lists read alike.
		b.WriteString(strconv.Itoa(len(f)) + ":" + string(f))
	}
	return group(s.index.hash(8, "group:"+b.String()))
}

func counterRow(g group, shard byte) row {
	return row{store.Counters, string(g) + string([]byte{shard})}
}

func shardOf(id mfa.UserID) byte {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return byte(h.Sum32() % shards)
}

func shardLock(id mfa.UserID) string { return "counters:" + strconv.Itoa(int(shardOf(id))) }

// counter says how many users hold which factors.
type counter map[string]int

// counted are counters that are made anew.
type counted map[row]counter

func (c counted) add(s *Store, id mfa.UserID, l listed) {
	for _, facets := range l.groups {
		r := counterRow(s.groupOf(facets), shardOf(id))
		if c[r] == nil {
			c[r] = make(counter)
		}
		c[r][factorsName(l.holds)]++
	}
}

func factorsName(k mfa.Kinds) string {
	return strings.TrimPrefix(string(mfa.FacetHolds(k)), string(mfa.FacetHolds(0)))
}

func parseFactors(name string) mfa.Kinds {
	var list []mfa.Kind
	for _, kind := range strings.FieldsFunc(name, func(r rune) bool { return r == ',' }) {
		list = append(list, mfa.Kind(kind))
	}
	return mfa.KindsOf(list...)
}

// listed is everything about a user that lists and counters hang on.
type listed struct {
	there  bool
	name   string
	facets []mfa.Facet
	terms  []string
	groups [][]mfa.Facet
	holds  mfa.Kinds
}

func listedAs(u *mfa.User) listed {
	return listed{
		there: true, name: u.Name, facets: u.Facets(), terms: searchTerms(u),
		groups: u.CountedIn(), holds: u.Enrolled(),
	}
}

// searchTerms returns the user's terms as they are indexed.
func searchTerms(u *mfa.User) []string {
	list := u.Terms()
	for i := range list {
		list[i] = clipTerm(list[i])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func clipTerm(s string) string { return s[:min(len(s), maxTerm)] }

// rows returns the names of the user's index rows, sorted.
func (s *Store) rows(id mfa.UserID, l listed) [][]byte {
	if !l.there {
		return nil
	}
	behind := l.name + separator + string(id)
	list := [][]byte{[]byte(namePrefix + behind)}
	for _, f := range l.facets {
		list = append(list, []byte(s.facetRows(f)+behind))
	}
	for _, t := range l.terms {
		list = append(list, []byte(termPrefix+t+separator+string(id)))
	}
	slices.SortFunc(list, bytes.Compare)
	return list
}

// list moves the user's index rows and counters.
func (w *writing) list(id mfa.UserID, before, now listed) error {
	if before.there != now.there || before.name != now.name || !slices.Equal(before.facets, now.facets) || !slices.Equal(before.terms, now.terms) {
		if err := w.moveRows(w.s.rows(id, before), w.s.rows(id, now)); err != nil {
			return err
		}
	}
	return w.count(id, before, now)
}

// moveRows writes what is only in now and removes what is only in before.
func (w *writing) moveRows(before, now [][]byte) error {
	has := func(list [][]byte, row []byte) bool {
		_, found := slices.BinarySearchFunc(list, row, bytes.Compare)
		return found
	}
	for _, row := range now {
		if has(before, row) {
			continue
		}
		if err := w.set(row, nil, 0); err != nil {
			return err
		}
	}
	for _, row := range before {
		if has(now, row) {
			continue
		}
		if err := w.remove(row); err != nil {
			return err
		}
	}
	return nil
}

// count moves the user from the counters of before to those of now.
func (w *writing) count(id mfa.UserID, before, now listed) error {
	change := make(map[group]counter)
	add := func(l listed, n int) {
		for _, facets := range l.groups {
			g := w.s.groupOf(facets)
			if change[g] == nil {
				change[g] = make(counter)
			}
			change[g][factorsName(l.holds)] += n
		}
	}
	if before.holds == now.holds && slices.EqualFunc(before.groups, now.groups, slices.Equal[[]mfa.Facet]) {
		return nil
	}
	add(before, -1)
	add(now, 1)
	if err := w.hold(shardLock(id)); err != nil {
		return err
	}
	for g, c := range change {
		r := counterRow(g, shardOf(id))
		kept := make(counter)
		if err := w.read(r, &kept); err != nil && !errors.Is(err, mfa.ErrNotFound) {
			return err
		}
		moved := false
		for name, n := range c {
			if n == 0 {
				continue
			}
			moved = true
			if kept[name] += n; kept[name] == 0 {
				delete(kept, name)
			}
		}
		if !moved {
			continue
		}
		var err error
		if len(kept) == 0 {
			err = w.remove(r.key())
		} else {
			err = w.put(r, kept, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eventNumber is the name of the row that leads to an event by its number: the number,
// and the part of its moment that is its time.
func eventNumber(number uint64, m moment) []byte {
	b := append([]byte(numberPrefix), binary.BigEndian.AppendUint64(nil, number)...)
	return append(b, m[:momentSize/2]...)
}
