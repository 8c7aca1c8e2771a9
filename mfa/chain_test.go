package mfa_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// listLog is an event log that can be tampered with.
type listLog struct {
	mfa.EventLog // what a check does not need
	list         []mfa.Event
	ends         mfa.ChainEnds
	between      func(l *listLog) // runs after each reading
}

func (l *listLog) EventsInOrder(_ context.Context, from uint64, limit int) ([]mfa.Event, error) {
	var found []mfa.Event
	for _, e := range l.list {
		if e.Number >= from && len(found) < limit {
			found = append(found, e)
		}
	}
	if l.between != nil {
		l.between(l)
	}
	return found, nil
}

func (l *listLog) ChainEnds(context.Context) (mfa.ChainEnds, error) { return l.ends, nil }

func (l *listLog) append(n int) {
	for range n {
		at := time.Date(2026, 5, 1, 12, 0, int(l.ends.Last), 0, time.FixedZone("", 3600))
		e, err := mfa.Event{At: at, Name: mfa.EventVerify, Detail: fmt.Sprint("<&> ", l.ends.Last+1)}.Chained(l.ends.Last+1, l.ends.Head)
		if err != nil {
			panic(err)
		}
		l.list = append(l.list, e)
		l.ends.Last, l.ends.Head = e.Number, e.Hash
	}
}

// forget forgets all up to that number.
func (l *listLog) forget(last uint64) {
	i := slices.IndexFunc(l.list, func(e mfa.Event) bool { return e.Number == last })
	l.ends.First, l.ends.Before = last+1, l.list[i].Hash
	l.list = l.list[i+1:]
}

func newListLog(n int) *listLog {
	l := &listLog{ends: mfa.ChainEnds{First: 1}}
	l.append(n)
	return l
}

func TestCheckChain_accepts(t *testing.T) {
	const n = 2500 // more than it reads at once
	whole := newListLog(n)
	for name, c := range map[string]struct {
		log   *listLog
		noted mfa.Chain
	}{
		"nothing":                     {log: newListLog(0)},
		"one":                         {log: newListLog(1)},
		"many":                        {log: whole},
		"what was noted":              {newListLog(n), mfa.Chain{Number: 1700, Hash: whole.list[1699].Hash}},
		"the end as it was noted":     {newListLog(n), mfa.Chain{Number: n, Hash: whole.ends.Head}},
		"the beginning is forgotten":  {log: func() *listLog { l := newListLog(n); l.forget(1200); return l }()},
		"all is forgotten":            {log: func() *listLog { l := newListLog(n); l.forget(n); return l }()},
		"what was noted is forgotten": {func() *listLog { l := newListLog(n); l.forget(1200); return l }(), mfa.Chain{Number: 3, Hash: "x"}},
		"noted is the last forgotten": {func() *listLog { l := newListLog(n); l.forget(1200); return l }(), mfa.Chain{Number: 1200, Hash: whole.list[1199].Hash}},
		"some are appended meanwhile": {log: func() *listLog { l := newListLog(n); l.between = func(l *listLog) { l.append(30) }; return l }()},
		"some are forgotten meanwhile": {log: func() *listLog {
			l := newListLog(n)
			l.between = func(l *listLog) { l.forget(min(l.ends.First+800, l.ends.Last)) }
			return l
		}()},
		"all are forgotten meanwhile": {log: func() *listLog {
			l := newListLog(n)
			l.between = func(l *listLog) { l.append(5); l.forget(l.ends.Last - 1) }
			return l
		}()},
	} {
		last := c.log.ends.Last
		ends, err := mfa.CheckChain(t.Context(), c.log, c.noted)
		if err != nil || ends.Last != last || ends.First != c.log.ends.First && c.log.between == nil {
			t.Errorf("%s: %+v, %v", name, ends, err)
		}
	}
}

// AC-231: what somebody did to the events is found, and said where.
func TestCheckChain_AC231_finds(t *testing.T) {
	const n = 2500
	head := newListLog(n).ends.Head
	end := mfa.Chain{Number: n, Hash: head}
	// rechain makes a new chain from that event on, as whoever has the keys can.
	rechain := func(l *listLog, from int) {
		before := ""
		if from > 0 {
			before = l.list[from-1].Hash
		}
		for i := from; i < len(l.list); i++ {
			l.list[i], _ = l.list[i].Chained(uint64(i+1), before)
			before = l.list[i].Hash
		}
		l.ends.Last, l.ends.Head = uint64(len(l.list)), before
	}
	for name, c := range map[string]struct {
		tamper func(l *listLog)
		noted  mfa.Chain
		number uint64
		what   string
	}{
		"a change":                    {func(l *listLog) { l.list[1500].Detail = "another" }, mfa.Chain{}, 1501, mfa.ChainChanged},
		"a change of the first":       {func(l *listLog) { l.list[0].OK = true }, mfa.Chain{}, 1, mfa.ChainChanged},
		"a change with its hash":      {func(l *listLog) { e := &l.list[1500]; e.Detail = "x"; e.Hash, _ = e.Link(l.list[1499].Hash) }, mfa.Chain{}, 1502, mfa.ChainChanged},
		"a change of the last":        {func(l *listLog) { l.list[n-1].Detail = "x" }, mfa.Chain{}, n, mfa.ChainChanged},
		"the last with its hash":      {func(l *listLog) { e := &l.list[n-1]; e.Detail = "x"; e.Hash, _ = e.Link(l.list[n-2].Hash) }, mfa.Chain{}, n, mfa.ChainChanged},
		"another number":              {func(l *listLog) { l.list[20].Number = 20 }, mfa.Chain{}, 20, mfa.ChainReordered},
		"one is missing":              {func(l *listLog) { l.list = slices.Delete(l.list, 1234, 1235) }, mfa.Chain{}, 1235, mfa.ChainMissing},
		"the first is missing":        {func(l *listLog) { l.list = l.list[1:] }, mfa.Chain{}, 1, mfa.ChainMissing},
		"all are missing":             {func(l *listLog) { l.list = nil }, mfa.Chain{}, 1, mfa.ChainCut},
		"two are exchanged":           {func(l *listLog) { l.list[7], l.list[8] = l.list[8], l.list[7] }, mfa.Chain{}, 8, mfa.ChainMissing},
		"two change places":           {func(l *listLog) { a, b := &l.list[7], &l.list[8]; *a, *b = *b, *a; a.Number, b.Number = 8, 9 }, mfa.Chain{}, 8, mfa.ChainChanged},
		"one stands twice":            {func(l *listLog) { l.list = slices.Insert(l.list, 8, l.list[7]) }, mfa.Chain{}, 8, mfa.ChainReordered},
		"the end is cut off":          {func(l *listLog) { l.list = l.list[:n-10] }, mfa.Chain{}, n - 9, mfa.ChainCut},
		"the end, while others come":  {func(l *listLog) { l.list = l.list[:n-10]; l.between = func(l *listLog) { l.append(1) } }, mfa.Chain{}, n - 9, mfa.ChainMissing},
		"a new chain, with the keys":  {func(l *listLog) { l.list[1500].Detail = "x"; rechain(l, 1500) }, end, n, mfa.ChainChanged},
		"a cut end, with the keys":    {func(l *listLog) { l.list = l.list[:2000]; rechain(l, 2000) }, end, 2001, mfa.ChainCut},
		"forgotten without its hash":  {func(l *listLog) { l.forget(20); l.ends.Before = "" }, mfa.Chain{}, 21, mfa.ChainChanged},
		"forgotten with another past": {func(l *listLog) { l.forget(20); l.ends.Before = head }, mfa.Chain{Number: 20, Hash: l20(n)}, 20, mfa.ChainChanged},
		"ends that cannot be":         {func(l *listLog) { l.ends.First = 0 }, mfa.Chain{}, 0, mfa.ChainCut},
		"a beginning behind the end":  {func(l *listLog) { l.ends.First = n + 2 }, mfa.Chain{}, n + 2, mfa.ChainCut},
	} {
		l := newListLog(n)
		c.tamper(l)
		_, err := mfa.CheckChain(t.Context(), l, c.noted)
		var broken *mfa.ChainError
		if !errors.As(err, &broken) || broken.Number != c.number || broken.What != c.what {
			t.Errorf("%s: got %v, want event %d: %s", name, err, c.number, c.what)
		}
	}
}

// l20 is the hash of the twentieth event.
func l20(n int) string { return newListLog(n).list[19].Hash }

// Whoever has an export can compute the chain with nothing but a hash function.
func TestEvent_Chained_canBeComputedFromAnExport(t *testing.T) {
	l := newListLog(5)
	cut := regexp.MustCompile(`,"hash":"[0-9a-f]{64}"`)
	before := ""
	for _, e := range l.list {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text := cut.ReplaceAllString(string(line), "")
		if strings.Contains(text, e.Hash) || !strings.Contains(text, `"number":`) {
			t.Fatalf("the hash is not the last field: %s", line)
		}
		sum := sha256.Sum256([]byte(before + text))
		if before = hex.EncodeToString(sum[:]); before != e.Hash {
			t.Errorf("event %d: %s, want %s", e.Number, e.Hash, before)
		}
	}
}

// An event that is read back has the hash that it was written with.
func TestEvent_Chained_survivesWritingAndReading(t *testing.T) {
	for name, e := range map[string]mfa.Event{
		"zero": {},
		"everything": {
			At: time.Now().In(time.FixedZone("somewhere", -7*3600)), Name: mfa.EventAdmin, OK: true, Reason: "r", User: "u", UserName: "n",
			Factor: mfa.TOTP, Session: "s", Network: "192.0.2.0/24", Host: "h", Decision: "d", Detail: "<a&b>\u2028", Actor: "a", ActorID: "i",
		},
		"no text": {
			Name: "\xff", Reason: "\xff", User: "\xff", UserName: "\xff", Factor: "\xff", Session: "\xff", Network: "\xff",
			Host: "a\xffb", Decision: "\xff", Detail: "\xff\xfe", Actor: "\xff", ActorID: "\xff",
		},
		"number and hash of somebody else": {Number: 77, Hash: "abc"},
	} {
		kept, err := e.Chained(5, "before")
		if err != nil {
			t.Fatal(name, err)
		}
		text, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(name, err)
		}
		var back mfa.Event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(name, err)
		}
		hash, err := back.Link("before")
		if err != nil || hash != kept.Hash || back.Number != 5 || !back.At.Equal(e.At) || back.At.Location() != time.UTC {
			t.Errorf("%s: %s, want %s (%v); %+v", name, hash, kept.Hash, err, back)
		}
		if other, _ := back.Link("after"); other == hash {
			t.Errorf("%s: the hash does not hang on the one before", name)
		}
	}
	if _, err := (mfa.Event{At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}).Chained(1, ""); err == nil {
		t.Error("a time that cannot be written is chained")
	}
}

// AC-231: no text of an event may break the chain, whatever stands in it: what is read
// back is what was hashed. A field that is added later is tried as well.
func TestEvent_AC231_NoTextBreaksTheChain(t *testing.T) {
	for _, text := range []string{"\xff", "\xed\xa0\x80", "a\u2028b", "\x1b[2J\x00", "<&>\"\\", "\ufffd", "e\u0301"} {
		var e mfa.Event
		v := reflect.ValueOf(&e).Elem()
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.String {
				v.Field(i).SetString(text)
			}
		}
		e.At = time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.FixedZone("", 5400))
		kept, err := e.Chained(1, "")
		if err != nil {
			t.Fatal(err)
		}
		var read mfa.Event
		line, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(line, &read); err != nil {
			t.Fatal(err)
		}
		if err := new(mfa.Chain).Next(read); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
