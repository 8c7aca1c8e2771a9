package badger

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// Export implements store.Portable, on one transaction that only reads. It ends with the
// store: closing waits for no copy.
func (s *Store) Export(ctx context.Context, emit func(store.Row) error) error {
	return s.view(ctx, func(txn *badger.Txn) error {
		x := exporting{s: s, ctx: ctx, txn: txn, emit: emit}
		for _, table := range store.Exported {
			var err error
			switch table {
			case store.Events:
				err = x.events()
			case store.Chain:
				err = x.chain()
			default:
				err = x.table(table)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// exporting is an export that is under way.
type exporting struct {
	s    *Store
	ctx  context.Context
	txn  *badger.Txn
	emit func(store.Row) error
}

// goes reports with nil that the export goes on.
func (x *exporting) goes() error {
	if err := x.ctx.Err(); err != nil {
		return err
	}
	if x.s.ctx.Err() != nil {
		return ErrClosed
	}
	if d := x.s.damage.Load(); d != nil {
		return d
	}
	return nil
}

func (x *exporting) table(table store.Table) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix = []byte(prefixes[table])
	it := x.txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := x.goes(); err != nil {
			return err
		}
		id := string(it.Item().Key()[len(prefixes[table]):])
		var data json.RawMessage
		var inner error
		err := it.Item().Value(func(record []byte) error {
			inner = x.s.codec.Decode(record, table, id, &data)
			return nil
		})
		if err == nil {
			err = inner
		}
		if err == nil && table == store.Sessions {
			data, err = x.session(mfa.SessionID(id), data)
		}
		if err != nil {
			return fmt.Errorf("exporting: %w", err)
		}
		if err := x.emit(store.Row{Table: table, ID: id, Data: data}); err != nil {
			return err
		}
	}
	return nil
}

// session returns what the copy keeps of a session: one whose end could not be written has
// ended as well (AC-191).
func (x *exporting) session(id mfa.SessionID, data json.RawMessage) (json.RawMessage, error) {
	if !x.s.doomed.Has(id) {
		return data, nil
	}
	var kept store.Session
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, store.ErrDamaged // the decoder's own words could repeat what it read
	}
	if kept.Ended {
		return data, nil
	}
	return json.Marshal(store.EndOf(&kept.Session))
}

// events exports all events by their numbers: those from before there was a chain first.
func (x *exporting) events() error {
	unchained, err := x.unchained()
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	for _, n := range unchained {
		if err := x.event(n); err != nil {
			return err
		}
	}
	return scanNumbers(x.txn, 0, func(n numbered) (bool, error) { return true, x.event(n) })
}

func (x *exporting) event(n numbered) error {
	if err := x.goes(); err != nil {
		return err
	}
	var data json.RawMessage
	err := x.s.read(x.txn, n.at.row(), &data)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil // it is missing, and the chain of the copy says so as this one does
	}
	if err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return x.emit(store.Row{Table: store.Events, ID: store.EventID(n.number), Data: data})
}

// unchained returns the events from before there was a chain, in the order of their
// numbers. Only a store that an early build made has any.
func (x *exporting) unchained() ([]numbered, error) {
	count, err := x.s.readCount(x.txn)
	if err != nil || count.Began == 1 {
		return nil, err
	}
	var list []numbered
	err = scan(x.txn, prefixes[store.Events], "", func(rest string) (bool, error) {
		if len(rest) != momentSize {
			return false, errIndex
		}
		number := ^binary.BigEndian.Uint64([]byte(rest[momentSize/2:]))
		if count.Began == 0 || number < count.Began {
			list = append(list, numbered{number: number, at: moment(rest)})
		}
		return true, x.goes()
	})
	slices.SortFunc(list, func(a, b numbered) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return list, err
}

// chain exports how the chain of events ends and where it begins.
func (x *exporting) chain() error {
	for id, r := range chainRows() {
		var data json.RawMessage
		err := x.s.read(x.txn, r, &data)
		if errors.Is(err, mfa.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("exporting: %w", err)
		}
		if err := x.emit(store.Row{Table: store.Chain, ID: id, Data: data}); err != nil {
			return err
		}
	}
	return nil
}

// chainRows yields where the rows of the chain stand here, in their order.
func chainRows() func(yield func(string, row) bool) {
	return func(yield func(string, row) bool) {
		_ = yield(store.ChainCount, eventCountRow) && yield(store.ChainStart, eventStartRow)
	}
}

var _ store.Target = (*Store)(nil)
