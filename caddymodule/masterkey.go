package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/internal/seal"
)

// errMasterOpen says that a master key stands in the configuration itself.
var errMasterOpen = errors.New("master_key: it stands in the configuration itself, which can be read at Caddy's admin endpoint and in autosave.json; make another one with: secondgate mfa keys master, keep it in a file or a variable, and write: master_key {file./path/to/master-key}")

// parseMasterKey reads
//
//	master_key {file./path}|{env.NAME} [{
//		previous {file./path}|{env.NAME}
//	}]
//
// No error repeats a word: it may be the key.
func parseMasterKey(d *caddyfile.Dispenser, key, previous *string) error {
	if *key != "" {
		return d.Err("master_key: stands here twice")
	}
	if !d.NextArg() {
		return d.Err("master_key: which one? Make one with: secondgate mfa keys master, and write: master_key {file./path/to/master-key}")
	}
	*key = d.Val()
	if d.NextArg() {
		return d.Err("master_key: one word too many; write: master_key {file./path/to/master-key}")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "previous" {
			return d.Err("master_key: there is no such option; there is previous, for the one before: previous {file./path/to/old-master-key}")
		}
		if !d.NextArg() || *previous != "" {
			return d.Err("previous: one word, once; write: previous {file./path/to/old-master-key}")
		}
		*previous = d.Val()
		if d.NextArg() {
			return d.Err("previous: one word too many; write: previous {file./path/to/old-master-key}")
		}
	}
	if err := checkMasterKey(*key, *previous); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// checkMasterKey refuses what could never be right, by what is written.
func checkMasterKey(key, previous string) error {
	for _, text := range []string{key, previous} {
		if text != "" && !isPlaceholder(text) {
			return errMasterOpen
		}
	}
	if key == "" && previous != "" {
		return errors.New("master_key: previous names the one before, and there is no new one; write: master_key {file./new} { previous {file./old} }")
	}
	return nil
}

// readMasterKey reads the master key, and the one before it, from where the configuration
// says. nil: there is none. They stay in memory: what Caddy shows and saves has the
// placeholder.
func readMasterKey(key, previous string) (*seal.Master, error) {
	if err := checkMasterKey(key, previous); err != nil || key == "" {
		return nil, err
	}
	now, err := readMaster("master_key", key)
	if err != nil || previous == "" {
		return now, err
	}
	before, err := readMaster("master_key: previous", previous)
	if err != nil {
		return nil, err
	}
	return now.After(before), nil
}

func readMaster(option, value string) (*seal.Master, error) {
	text, err := resolved(value, "")
	if err != nil || strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("%s: there is nothing in %s: set it, or make the file readable for the user that the gateway runs as", option, value)
	}
	m, err := seal.ParseMaster(text)
	if err != nil {
		return nil, fmt.Errorf("%s: what stands in %s is %w", option, value, err)
	}
	return m, nil
}

// useMaster has the keys of an open store sealed with the master key that this
// configuration gives.
func useMaster(keys *seal.Keyset, s StoreModule, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), masterTime)
	defer cancel()
	sealed, err := keys.UseMaster(ctx, s.master())
	if sealed {
		logger.Warn("keys: they are sealed with this master key from now on, and nothing in the store can be read without it: keep a copy apart from the store and its backups", "store", s.place())
	}
	return err
}

// masterTime is how long it may take to write the keys.
const masterTime = 10 * time.Second
