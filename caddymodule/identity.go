package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/mfa"
)

// Identity says who may sign in how.
type Identity struct {
	// Local are the accounts of the gateway itself. They are the default: left out, there
	// are none as soon as there is another source.
	Local *Local `json:"local,omitempty"`
	// SourcesRaw are other sources, in the order of the sign-in page.
	SourcesRaw []json.RawMessage `json:"sources,omitempty" caddy:"namespace=mfa.identity inline_key=module"`
}

// IdentityModule is a guest of the namespace mfa.identity.
type IdentityModule interface {
	caddy.Module
	// name is the source's name, which is part of each of its users' records. Provision
	// has set it.
	name() string
	// source makes the source. It opens no connection. The closer may be nil; it is closed
	// when the last request of the configuration is gone.
	source() (mfa.Source, io.Closer, error)
}

// identityNamespace is where the guests are.
const identityNamespace = "mfa.identity"

// namedSource is one source that a configuration has beside the local accounts.
type namedSource struct {
	name   string
	module IdentityModule
}

// sourceName is what a source may be called: it stands in addresses and records.
var sourceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// checkSourceName refuses a name that no source can have.
func checkSourceName(name string) error {
	switch {
	case name == mfa.LocalSource:
		return fmt.Errorf("identity: %q is the name of the accounts of the gateway itself; choose another", name)
	case !sourceName.MatchString(name):
		return fmt.Errorf("identity: %q cannot be the name of a source; write 1 to 32 lower-case letters, digits and dashes, a letter first", name)
	}
	return nil
}

// local returns what is said of the accounts of the gateway itself.
func (a *App) local() Local {
	if a.Identity.Local == nil {
		return Local{}
	}
	return *a.Identity.Local
}

// hasLocal reports whether the gateway has accounts of its own.
func (a *App) hasLocal() bool {
	return a.Identity.Local != nil || len(a.Identity.SourcesRaw) == 0 && len(a.sources) == 0
}

// loadSources makes the modules of the sources. It runs when the configuration is checked,
// too: it resolves secrets and opens nothing.
func (a *App) loadSources(ctx caddy.Context) error {
	if len(a.Identity.SourcesRaw) == 0 {
		return nil
	}
	loaded, err := ctx.LoadModule(&a.Identity, "SourcesRaw")
	if err != nil {
		return fmt.Errorf("loading the identity sources: %w", err)
	}
	for _, each := range loaded.([]any) {
		mod, ok := each.(IdentityModule)
		if !ok {
			return fmt.Errorf("loading the identity sources: %T is no identity source", each)
		}
		name := mod.name()
		if err := checkSourceName(name); err != nil {
			return err
		}
		if slices.ContainsFunc(a.sources, func(s namedSource) bool { return s.name == name }) {
			return fmt.Errorf("identity: there are two sources named %s; give one another name: identity oidc NAME { … }", name)
		}
		a.sources = append(a.sources, namedSource{name, mod})
	}
	return a.findProxied()
}

// openSources makes the sources beside the local accounts, and what closes them.
func (a *App) openSources() (list []mfa.Source, closers []io.Closer, err error) {
	for _, s := range a.sources {
		source, closer, err := s.module.source()
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("identity %s: %w", s.name, err), closeAll(closers))
		}
		list = append(list, source)
		if closer != nil {
			closers = append(closers, closer)
		}
	}
	return list, closers, nil
}

func closeAll(closers []io.Closer) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// parseIdentity reads
//
//	identity local [{ … }]
//	identity oidc|ldap|proxied [NAME] [{ … }]
//
// once for each source.
func (a *App) parseIdentity(b *block) error {
	line := b.Token()
	if !b.NextArg() {
		return b.Errf("identity: which source? Write one of: %s", strings.Join(identityModules(), ", "))
	}
	delete(b.seen, "identity") // there may be many
	if name := b.Val(); name != mfa.LocalSource {
		if _, err := caddy.GetModule(identityNamespace + "." + name); err != nil {
			return b.Errf("identity: there is no source %q; write one of: %s", name, strings.Join(identityModules(), ", "))
		}
		mod, err := caddyfile.UnmarshalModule(b.Dispenser, identityNamespace+"."+name)
		if err != nil {
			return err
		}
		a.Identity.SourcesRaw = append(a.Identity.SourcesRaw, caddyconfig.JSONModuleObject(mod, "module", name, nil))
		return nil
	}
	if a.Identity.Local != nil {
		return b.Err("identity local: stands twice; write one block")
	}
	b.seen["identity local"] = line
	local := new(Local)
	a.Identity.Local = local
	return b.nested("identity local", func(s *block) map[string]func() error {
		return map[string]func() error{
			"sign_up": func() error {
				local.SignUp = s.RemainingArgs()
				if local.SignUp == nil {
					local.SignUp = []string{"name"}
				}
				return nil
			},
			"sign_in": func() error { return s.words(&local.SignIn, "sign_in password email") },
		}
	})
}

// identityModules returns the names of the kinds of source.
func identityModules() []string {
	names := []string{mfa.LocalSource}
	for _, info := range caddy.GetModules(identityNamespace) {
		names = append(names, info.ID.Name())
	}
	slices.Sort(names)
	return names
}
