package caddymodule

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/archive"
	"github.com/secondgate/secondgate/store/transfer"
)

// backupInfo is what a backup, or a copy, is made of.
type backupInfo struct {
	ID      string         `json:"id,omitempty"`
	Made    time.Time      `json:"made,omitzero"`
	Program string         `json:"program,omitempty"`
	Store   string         `json:"store"`                 // which kind
	Key     string         `json:"key,omitempty"`         // the ID of the one that sealed it
	Sealed  bool           `json:"keys_inside,omitempty"` // the keys are in it, sealed with a master key
	Rows    int64          `json:"rows"`
	Tables  archive.Totals `json:"tables"`
}

func backupOf(h archive.Header, t archive.Totals) *backupInfo {
	return &backupInfo{ID: h.ID, Made: h.Made, Program: h.Program, Store: h.Store, Key: h.Key, Sealed: h.Keys != nil, Rows: t.Rows(), Tables: t}
}

// copyProgress is how far a copy is.
type copyProgress struct {
	Table store.Table `json:"table,omitempty"`
	Rows  int64       `json:"rows"`
	Of    int64       `json:"of,omitempty"` // about how many; 0: nobody knows
}

// copied is a store that a backup is made of.
type copied struct {
	kind  string
	store openStore
	keys  *seal.Keyset
}

// backup writes everything that the store holds to out, sealed.
func (d desk) backup(ctx context.Context, out io.Writer, tell func(copyProgress)) (info *backupInfo, err error) {
	source, ok := unmeasured(d.copied.store).(store.Portable)
	if !ok {
		return nil, fmt.Errorf("a store of the kind %s has no backup of ours; make one by its own means", d.copied.kind)
	}
	err = d.admin.Backup(ctx, func(ctx context.Context) error {
		about, err := transfer.Size(ctx, d.copied.store)
		if err != nil {
			return err
		}
		sealed, err := d.copied.keys.SealedText()
		if err != nil {
			return err
		}
		w, err := archive.NewWriter(out, d.copied.keys, archive.Header{Made: clock.Now(), Program: programVersion(), Store: d.copied.kind, Rows: about, Keys: sealed})
		if err != nil {
			return err
		}
		totals, err := transfer.Backup(ctx, source, w, func(t store.Table, n int64) { tell(copyProgress{t, n, about}) })
		info = backupOf(w.Header(), totals)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making the backup: %w", err)
	}
	return info, nil
}

// kindOf says which kind of store that is.
func kindOf(s StoreModule) string {
	kind, _, _ := strings.Cut(s.place(), ":")
	return kind
}

// programVersion is ours, also where we are a module of another program.
func programVersion() string {
	const us = "github.com/secondgate/secondgate"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == us && m.Version != "" {
			return m.Version
		}
	}
	return "unknown"
}
