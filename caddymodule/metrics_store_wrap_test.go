package caddymodule

import (
	"reflect"
	"slices"
	"testing"

	"github.com/secondgate/secondgate/store/badger"
	"github.com/secondgate/secondgate/store/postgres"
)

// beside are the methods of stores that the measured store does not have, and who asks the
// store itself for them. What is asked of the measured one would seem to be missing, without a
// word: so went Keep once, and the events of administrators with it.
var beside = map[string]string{
	"Reseal": "newKeyring", "CountRecords": "newKeyring", "ResealProgress": "newKeyring", "KeepResealProgress": "newKeyring",
	"OnKeysChange": "newKeyring",
	"Stats":        "databaseStats", "CheckIndex": "tests",
	"Export": "copies of stores", "Import": "copies of stores", "Filled": "copies of stores", "Empty": "copies of stores",
}

func TestMeasuredStore_HidesNothingInSilence(t *testing.T) {
	has := func(v any) (list []string) {
		for i := range reflect.TypeOf(v).NumMethod() {
			list = append(list, reflect.TypeOf(v).Method(i).Name)
		}
		return list
	}
	measured := has((*measuredStore)(nil))
	for _, opened := range []any{(*badger.Store)(nil), (*postgres.Store)(nil)} {
		for _, name := range has(opened) {
			if !slices.Contains(measured, name) && beside[name] == "" {
				t.Errorf("%T has %s, and the measured store has not: whoever looks for it there finds nothing. Look for it in unmeasured(store), and name the place in this test", opened, name)
			}
		}
	}
	if got := unmeasured(&measuredStore{openStore: (*badger.Store)(nil)}); reflect.TypeOf(got) != reflect.TypeFor[*badger.Store]() {
		t.Errorf("below the measured store lies %T", got)
	}
	// What carries a rotation on is there whoever measures.
	for _, opened := range []openStore{(*badger.Store)(nil), silent{}} {
		if k := newKeyring(measure(opened, counted), nil, nil); k.rotation == nil {
			t.Errorf("a measured %T has no rotation", opened)
		}
	}
	if k := newKeyring(measure(silent{}, counted), nil, nil); k.newer == nil {
		t.Error("a measured database is one of a single node")
	}
}

// silent is a database that nobody changes.
type silent struct{ *postgres.Store }

func (silent) OnKeysChange(func()) func() { return func() {} }
