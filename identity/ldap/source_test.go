package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/secondgate/secondgate/internal/slapdtest"
	"github.com/secondgate/secondgate/mfa"
)

// signIn does what the gate does with a name and a password.
func signIn(t testing.TB, s *Source, name, password string) (*mfa.Identity, error) {
	t.Helper()
	account, err := s.Account(name)
	if err != nil {
		account = name
	}
	subject, err := s.Resolve(t.Context(), account)
	switch {
	case err == nil:
		account = subject
	case !errors.Is(err, mfa.ErrNotFound):
		return nil, err
	}
	return s.Authenticate(t.Context(), account, password)
}

func mustSignIn(t testing.TB, s *Source, name, password string) *mfa.Identity {
	t.Helper()
	id, err := signIn(t, s, name, password)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return id
}

func TestSource_WhoSomebodyIs(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	id := mustSignIn(t, s, "alice", "alice's own")
	if !uuidText.MatchString(id.Subject) || id.Source != "ldap" || id.Name != "alice" || id.DisplayName != "The alice" ||
		id.Email != "alice@example.test" || id.EmailVerified || strings.Join(id.Groups, ",") != "admins,staff" || id.Provided != (mfa.Proof{}) {
		t.Errorf("%+v", id)
	}
	if id := mustSignIn(t, d.source(func(c *Config) { c.EmailVerified = true }), "alice", "alice's own"); !id.EmailVerified {
		t.Error("the configuration says that addresses are verified")
	}
	if id := mustSignIn(t, s, "zoë", "zoë's own"); id.Name != "zoë" {
		t.Errorf("%+v", id)
	}
	for name, password := range map[string]string{"alice": "bob's own", "nobody": "alice's own", "bob": "bob's own "} {
		if id, err := signIn(t, s, name, password); !errors.Is(err, mfa.ErrRejected) || id != nil {
			t.Errorf("%s with %q: %v, %v", name, password, id, err)
		}
	}
}

// AC-181: somebody who has many names has as many tries and as many accounts, if each name
// is looked up as one.
func TestResolve_AC181_EveryNameIsOneAccount(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	subject := mustSignIn(t, s, "alice", "alice's own").Subject
	for _, name := range []string{"ALICE", " alice ", "Alice@Example.Test", "alice@example.test", subject, strings.ToUpper(subject)} {
		id := mustSignIn(t, s, name, "alice's own")
		if id.Subject != subject || id.Name != "alice" {
			t.Errorf("%q is %+v", name, id)
		}
		account, err := s.Account(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(t.Context(), account); err != nil || got != subject {
			t.Errorf("%q resolves to %q, %v: it would be counted apart", name, got, err)
		}
	}

	// A rename changes nothing of who it is.
	if err := d.Root.ModifyDN(ldap.NewModifyDNRequest("uid=alice,"+people, "uid=alicia", true, "")); err != nil {
		t.Fatal(err)
	}
	if id := mustSignIn(t, s, "alicia", "alice's own"); id.Subject != subject || id.Name != "alicia" {
		t.Errorf("%+v", id)
	}
	// Who comes after under that name is somebody else.
	d.Person("alice", "the new one's")
	if id := mustSignIn(t, s, "alice", "the new one's"); id.Subject == subject {
		t.Error("a new entry has the old one's account")
	}
}

// AC-180: what is typed into the form is read as a part of the filter, or of the bind.
func TestSignIn_AC180_Refuses(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	d.Person("twin", "twin's own", "mail", "shared@example.test")
	d.Person("twain", "twain's own", "mail", "shared@example.test")
	long := strings.Repeat("a", 300)
	for _, c := range []struct{ what, name, password string }{
		{"a star matches anybody", "*", "alice's own"},
		{"a star behind letters", "ali*", "alice's own"},
		{"another condition", "*)(uid=*", "alice's own"},
		{"an encoded star", `\2a`, "alice's own"},
		{"an encoded letter", `\61lice`, "alice's own"},
		{"a NUL behind the name", "alice\x00", "alice's own"},
		{"a broken filter", "alice)(|(a=b", "alice's own"},
		{"the whole entry's DN", "uid=alice," + people, "alice's own"},
		{"signs of DNs", `alice,ou=people+"=#;<>`, "alice's own"},
		{"a line break", "alice\nuid: bob", "alice's own"},
		{"no UTF-8", "ali\xffce", "alice's own"},
		{"no name", "", "alice's own"},
		{"a name that is too long", long, "alice's own"},
		{"an empty password, which servers take for nobody's", "alice", ""},
		{"an empty password for who is not there", "nobody", ""},
		{"an empty password after its NUL", "alice", "\x00"},
		{"a NUL behind the password", "alice", "alice's own\x00"},
		{"a password that is too long", "alice", strings.Repeat("p", maxPassword+1)},
		{"one address of two entries", "shared@example.test", "twin's own"},
		{"one address of two entries, the other's password", "shared@example.test", "twain's own"},
		{"an ID that nobody has", noID, "alice's own"},
		{"the service account", "gate", gatePass},
	} {
		t.Run("AC-180 "+c.what, func(t *testing.T) {
			id, err := signIn(t, s, c.name, c.password)
			if id != nil || !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
	// The twins have each a name of their own.
	mustSignIn(t, s, "twin", "twin's own")
}

// AC-179: whom the directory has switched off goes on with the session they have; and who
// is switched off here goes on because the directory knows nothing of it. The second half
// is the gate's (mfa).
func TestStanding_AC179(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	bobDN := "uid=bob," + people
	for _, c := range []struct {
		what     string
		alter    func(*Config)
		off, on  func()
		disabled bool
	}{
		{"nothing happened", nil, func() {}, func() {}, false},
		{"locked for good by an administrator", nil,
			func() { d.Set(bobDN, "pwdAccountLockedTime", lockedForGood) }, func() { d.Set(bobDN, "pwdAccountLockedTime") }, true},
		{"matches the filter of those who have left", func(c *Config) { c.DisabledFilter = "(employeeType=left)" },
			func() { d.Set(bobDN, "employeeType", "left") }, func() { d.Set(bobDN, "employeeType") }, true},
		{"does not match the filter any more", func(c *Config) { c.Filter = "(&(uid={name})(title=engineer))" },
			func() { d.Set(bobDN, "title", "poet") }, func() { d.Set(bobDN, "title", "engineer") }, true},
		{"in no group that is asked for", func(c *Config) { c.AllowedGroups = []string{"staff"} },
			func() { d.Set("cn=staff,ou=groups,"+suffix, "member", "uid=alice,"+people) },
			func() { d.Set("cn=staff,ou=groups,"+suffix, "member", "uid=alice,"+people, bobDN) }, true},
		{"another name", nil, func() { d.Set(bobDN, "mail", "robert@example.test") }, func() {}, false},
	} {
		t.Run("AC-179 "+c.what, func(t *testing.T) {
			s := s
			if c.alter != nil {
				s = d.source(c.alter)
			}
			c.on()
			id := mustSignIn(t, s, "bob", "bob's own")
			if _, err := s.Standing(t.Context(), id.Subject, nil); err != nil {
				t.Fatalf("before: %v", err)
			}
			c.off()
			_, err := s.Standing(t.Context(), id.Subject, nil)
			if c.disabled != errors.Is(err, mfa.ErrDisabled) || !c.disabled && err != nil {
				t.Errorf("standing: %v", err)
			}
			if _, err := signIn(t, s, "bob", "bob's own"); c.disabled != errors.Is(err, mfa.ErrRejected) || !c.disabled && err != nil {
				t.Errorf("signing in: %v", err)
			}
			c.on()
			if _, err := s.Standing(t.Context(), id.Subject, nil); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	t.Run("AC-179 the entry is gone", func(t *testing.T) {
		id := mustSignIn(t, s, "bob", "bob's own")
		if err := d.Root.Del(ldap.NewDelRequest(bobDN, nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Standing(t.Context(), id.Subject, nil); !errors.Is(err, mfa.ErrDisabled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("AC-179 the directory is gone: it cannot tell", func(t *testing.T) {
		id := mustSignIn(t, s, "alice", "alice's own")
		d.Kill()
		if _, err := s.Standing(t.Context(), id.Subject, nil); err == nil || errors.Is(err, mfa.ErrDisabled) {
			t.Errorf("%v", err)
		}
		if _, err := signIn(t, s, "alice", "alice's own"); err == nil || errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%v", err)
		}
	})
}

// Whoever guesses at somebody's password has the directory lock the account for a while.
// That must not end the sessions which its owner has.
func TestStanding_GuessingEndsNoSession(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	id := mustSignIn(t, s, "bob", "bob's own")
	for range 6 {
		_, _ = signIn(t, s, "bob", "a guess")
	}
	if _, err := signIn(t, s, "bob", "bob's own"); !errors.Is(err, mfa.ErrRejected) {
		t.Fatalf("the directory has not locked bob: %v", err)
	}
	if v := lockedSince(t, d); v == "" || strings.HasPrefix(v, "0000") {
		t.Fatalf("locked since %q", v)
	}
	if _, err := s.Standing(t.Context(), id.Subject, nil); err != nil {
		t.Errorf("%v", err)
	}
}

func lockedSince(t *testing.T, d *slapd) string {
	t.Helper()
	r, err := d.Root.Search(ldap.NewSearchRequest("uid=bob,"+people, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"pwdAccountLockedTime"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r.Entries[0].GetAttributeValue("pwdAccountLockedTime")
}

// A password that an administrator has set for somebody to replace signs nobody in: two
// people know it.
func TestAuthenticate_PasswordThatMustBeReplaced(t *testing.T) {
	d := newSlapd(t)
	d.Set("cn=default,"+suffix, "pwdMustChange", "TRUE")
	d.Set("uid=bob,"+people, "pwdReset", "TRUE")
	if _, err := signIn(t, d.source(), "bob", "bob's own"); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("%v", err)
	}
}

func TestGroups(t *testing.T) {
	d := newSlapd(t)
	search := func(c *Config) { c.GroupSearch = &GroupSearch{Base: "ou=groups," + suffix} }
	within := func(c *Config) { c.GroupBase = "ou=groups," + suffix }
	allow := func(names ...string) func(*Config) {
		return func(c *Config) { c.AllowedGroups = names }
	}
	for _, c := range []struct {
		what  string
		alter []func(*Config)
		want  string // "-": may not sign in
	}{
		{"all that the entry names", nil, "admins,staff"},
		{"a group of that name elsewhere does not count", []func(*Config){within}, "staff"},
		{"by a search", []func(*Config){search}, "staff"},
		{"one that is asked for", []func(*Config){allow("STAFF")}, "admins,staff"},
		{"by its whole DN", []func(*Config){allow("CN=staff, ou=groups," + suffix)}, "admins,staff"},
		{"a namesake of the one that is asked for", []func(*Config){allow("cn=admins,ou=groups," + suffix)}, "-"},
		{"a namesake, by name", []func(*Config){within, allow("admins")}, "-"},
		{"a namesake, by name and search", []func(*Config){search, allow("admins")}, "-"},
		{"one that there is not", []func(*Config){allow("board")}, "-"},
	} {
		t.Run(c.what, func(t *testing.T) {
			id, err := signIn(t, d.source(c.alter...), "bob", "bob's own")
			if c.want == "-" {
				if !errors.Is(err, mfa.ErrRejected) {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			if err != nil || strings.Join(id.Groups, ",") != c.want {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestSource_TLS(t *testing.T) {
	d := newSlapd(t)
	ldaps := func(c *Config) { c.URLs = []string{"ldaps://" + d.TLS} }
	startTLS := func(c *Config) { c.StartTLS = true }
	trust := func(c *Config) { c.Roots = d.Roots }
	distrust := func(c *Config) { c.Roots = d.OtherRoots }
	name := func(c *Config) {
		for i, u := range c.URLs {
			c.URLs[i] = strings.Replace(u, "127.0.0.1", "localhost", 1)
		}
	}
	for _, c := range []struct {
		what  string
		alter []func(*Config)
		ok    bool
	}{
		{"ldaps", []func(*Config){ldaps, trust}, true},
		{"StartTLS", []func(*Config){startTLS, trust}, true},
		{"ldaps with another authority", []func(*Config){ldaps, distrust}, false},
		{"StartTLS with another authority", []func(*Config){startTLS, distrust}, false},
		{"ldaps without one", []func(*Config){ldaps}, false},
		{"ldaps under a name that is not in the certificate", []func(*Config){ldaps, trust, name}, false},
		{"StartTLS under a name that is not in the certificate", []func(*Config){startTLS, trust, name}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			id, err := signIn(t, d.source(c.alter...), "alice", "alice's own")
			if c.ok != (err == nil) || errors.Is(err, mfa.ErrRejected) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

func TestSource_TheNextServerIsAsked(t *testing.T) {
	d := newSlapd(t)
	gone := slapdtest.FreeAddress(t)
	s := d.source(func(c *Config) { c.URLs = []string{"ldap://" + gone, "ldap://" + d.Plain} })
	mustSignIn(t, s, "alice", "alice's own")
	if got := s.dialer.order(); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("the server that is gone is tried first again: %v", got)
	}
}

// A server ends connections that nobody uses; the next sign-in must not fail by that.
func TestSearch_AfterTheServerHasEndedTheConnection(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	mustSignIn(t, s, "alice", "alice's own")
	s.pool.mu.Lock()
	kept := len(s.pool.idle)
	for _, c := range s.pool.idle {
		_ = c.raw.Conn.Close()
	}
	s.pool.mu.Unlock()
	if kept != 1 {
		t.Fatalf("%d connections are kept after one sign-in", kept)
	}
	mustSignIn(t, s, "alice", "alice's own")
}

func TestSource_ServiceAccountIsRefused(t *testing.T) {
	d := newSlapd(t)
	s := d.source(func(c *Config) { c.BindPassword = mfa.Secret("wrong") })
	_, err := signIn(t, s, "alice", "alice's own")
	if err == nil || errors.Is(err, mfa.ErrRejected) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a fault of the configuration looks like one of the person, or tells the password: %v", err)
	}
	// It may not search without one, either: nothing is found, and nobody signs in.
	s = d.source(func(c *Config) { c.BindDN, c.BindPassword = "", nil })
	if id, err := signIn(t, s, "alice", "alice's own"); err == nil {
		t.Errorf("%+v", id)
	}
}

func TestSource_CloseAndCancel(t *testing.T) {
	d := newSlapd(t)
	s := d.source()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Resolve(ctx, "alice"); err == nil || errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("cancelled: %v", err)
	}
	mustSignIn(t, s, "alice", "alice's own")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	mustSignIn(t, s, "alice", "alice's own") // a late request of the old configuration
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if len(s.pool.idle) != 0 {
		t.Error("a connection is kept after the end")
	}
}
