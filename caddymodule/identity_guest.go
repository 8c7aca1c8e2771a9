package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// sourceBlock begins to read the block of an identity source, which may have a name of
// its own before it.
func sourceBlock(d *caddyfile.Dispenser, kind string, name *string) (*block, error) {
	if !d.Next() {
		return nil, d.ArgErr()
	}
	b := &block{Dispenser: d, name: "identity " + kind, first: d.Token(), seen: make(map[string]caddyfile.Token)}
	if d.NextArg() {
		*name = d.Val()
		if err := checkSourceName(*name); err != nil {
			return nil, b.WrapErr(err)
		}
	}
	if d.NextArg() {
		return nil, d.Errf("identity %s: %q is one word too many; its options stand in a block: identity %s { … }", kind, d.Val(), kind)
	}
	return b, nil
}

// orKind is the name of a source: its own, or that of its kind.
func orKind(name, kind string) string {
	if name == "" {
		return kind
	}
	return name
}
