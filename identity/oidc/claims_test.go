package oidc_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/oidc"
	"github.com/secondgate/secondgate/internal/oidctest"
	"github.com/secondgate/secondgate/mfa"
)

// say makes the provider say these claims of alice, beside her subject; null takes one away.
func (w *world) say(text string) {
	w.Helper()
	var more map[string]any
	if err := json.Unmarshal([]byte(text), &more); err != nil {
		w.Fatal(err)
	}
	w.provider.Change("alice", func(u *oidctest.User) {
		u.Claims = map[string]any{"preferred_username": "alice", "name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []any{}}
		for name, value := range more {
			if u.Claims[name] = value; value == nil {
				delete(u.Claims, name)
			}
		}
	})
}

func TestSource_MapsClaims(t *testing.T) {
	tests := map[string]struct {
		claims oidc.Claims
		said   string
		want   func(*mfa.Identity) // changes what is usual
	}{
		"nothing but a subject": {said: `{"preferred_username":null,"name":null,"email":null,"email_verified":null,"groups":null}`, want: func(id *mfa.Identity) {
			*id = mfa.Identity{Source: "acme", Subject: "sub-alice"}
		}},
		"other claims": {
			oidc.Claims{Name: "uid", DisplayName: "full", Email: "mail", Groups: "roles"},
			`{"uid":"aadams","full":"Alice A.","mail":"a@example.org","roles":["x"]}`,
			func(id *mfa.Identity) {
				id.Name, id.DisplayName, id.Email, id.Groups = "aadams", "Alice A.", "a@example.org", []string{"x"}
			},
		},
		"claims in objects": {
			oidc.Claims{Groups: "realm_access.roles", Name: "https://example.com/name"},
			`{"realm_access":{"roles":["x","y"]},"https://example.com/name":"dotted"}`,
			func(id *mfa.Identity) { id.Name, id.Groups = "dotted", []string{"x", "y"} },
		},
		"a dot in the name of an object": {
			oidc.Claims{Groups: "resource_access.my.client.roles"}, `{"resource_access":{"my.client":{"roles":["z"]}}}`,
			func(id *mfa.Identity) { id.Groups = []string{"z"} },
		},
		"one group":              {said: `{"groups":"staff"}`, want: func(id *mfa.Identity) { id.Groups = []string{"staff"} }},
		"groups named by object": {said: `{"groups":{"b":{"1":"x"},"a":{}}}`, want: func(id *mfa.Identity) { id.Groups = []string{"a", "b"} }},
		"a group twice":          {said: `{"groups":["a","a"]}`, want: func(id *mfa.Identity) { id.Groups = []string{"a"} }},
		"nowhere": {oidc.Claims{Groups: "off", Email: "off", Name: "off", DisplayName: "off"}, `{"groups":["a"]}`, func(id *mfa.Identity) {
			*id = mfa.Identity{Source: "acme", Subject: "sub-alice"}
		}},
		"AC-055 groups that would be two": {said: `{"groups":["users,admin","users|admin","a\nb","a\u0000b","a\u0085b",""," admin","admin ","good one"]}`, want: func(id *mfa.Identity) { id.Groups = []string{"good one"} }},
		"a long group":                    {said: `{"groups":["` + strings.Repeat("x", 129) + `","ok"]}`, want: func(id *mfa.Identity) { id.Groups = []string{"ok"} }},
		"names with what cannot be seen":  {said: `{"name":" Al\u202eice\n\u200b ","preferred_username":"al\u0000ice"}`, want: func(id *mfa.Identity) { id.DisplayName = "Alice" }},
		"a long name":                     {said: `{"name":"` + strings.Repeat("x", 300) + `"}`, want: func(id *mfa.Identity) { id.DisplayName = "" }},
		"an address in capitals":          {said: `{"email":"Alice@EXAMPLE.com"}`, want: func(id *mfa.Identity) { id.Email = "Alice@example.com" }},
		"AC-178 two @":                    {said: `{"email":"alice@evil.example@example.com"}`, want: func(id *mfa.Identity) { id.Email, id.EmailVerified = "", false }},
		"AC-178 verified by a text":       {said: `{"email_verified":"true"}`, want: func(id *mfa.Identity) { id.EmailVerified = false }},
		"AC-178 verified by false":        {said: `{"email_verified":"false"}`, want: func(id *mfa.Identity) { id.EmailVerified = false }},
		"AC-178 verified by a number":     {said: `{"email_verified":1}`, want: func(id *mfa.Identity) { id.EmailVerified = false }},
		"AC-178 verified by a list":       {said: `{"email_verified":[true]}`, want: func(id *mfa.Identity) { id.EmailVerified = false }},
		"AC-178 nothing said":             {said: `{"email_verified":null}`, want: func(id *mfa.Identity) { id.EmailVerified = false }},
		"AC-021 claims of our own": {
			said: `{"org":"acme","organization":"acme","roles":["admin"],"admin":true,"mfa":true,"acr":"urn:example:mfa","provided":{"kind":"provided"},"Organizations":["acme"]}`,
			want: func(*mfa.Identity) {},
		},
		"organizations": {oidc.Claims{Organization: "org"}, `{"org":["acme","No Name","beta","acme"]}`, func(id *mfa.Identity) {
			id.Organizations = []mfa.OrganizationID{"acme", "beta"}
		}},
		"one organization": {oidc.Claims{Organization: "org"}, `{"org":"acme"}`, func(id *mfa.Identity) { id.Organizations = []mfa.OrganizationID{"acme"} }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *oidc.Config) { c.Claims = tt.claims })
			w.say(tt.said)
			id := w.mustSignIn("alice")
			want := &mfa.Identity{Source: "acme", Subject: "sub-alice", Name: "alice", DisplayName: "Alice", Email: "alice@example.com", EmailVerified: true}
			tt.want(want)
			id.Kept, id.Session = nil, ""
			if len(id.Groups) == 0 {
				id.Groups = nil
			}
			if !reflect.DeepEqual(id, want) {
				t.Errorf("got  %+v\nwant %+v", id, want)
			}
		})
	}
}

// A claim of another type than it has to be could hide a group or an organization of
// which more is asked.
func TestSource_RejectsClaimsOfAnotherType(t *testing.T) {
	w := newWorld(t, func(c *oidc.Config) { c.Claims.Organization, c.NoUserInfo = "org", true })
	for _, said := range []string{
		`{"name":7}`, `{"preferred_username":["alice"]}`, `{"preferred_username":{"a":1}}`, `{"email":true}`, `{"email":["alice@example.com"]}`,
		`{"groups":7}`, `{"groups":[7]}`, `{"groups":["a",["b"]]}`, `{"groups":true}`, `{"org":7}`, `{"org":[null]}`,
	} {
		w.say(said)
		if id, err := w.signIn("alice"); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %+v, error %v", said, id, err)
		}
	}
}

func TestSource_MapsOrganizations(t *testing.T) {
	w := newWorld(t, func(c *oidc.Config) {
		c.Claims.Organization = "org"
		c.Organizations = map[string]mfa.OrganizationID{"Acme Ltd": "acme", "beta": "beta"}
	})
	w.say(`{"org":["Acme Ltd","gamma","beta"]}`)
	if id := w.mustSignIn("alice"); !slices.Equal(id.Organizations, []mfa.OrganizationID{"acme", "beta"}) {
		t.Errorf("organizations %v: what the configuration does not name is none", id.Organizations)
	}
}

// AC-178: who may sign in is said by groups, by domains of verified addresses, by claims.
func TestSource_AC178_LetsIn(t *testing.T) {
	domains := func(c *oidc.Config) { c.AllowedDomains = []string{"example.com", "xn--bcher-kva.example"} }
	always := func(c *oidc.Config) { domains(c); c.EmailAlways = true }
	groups := func(c *oidc.Config) { c.AllowedGroups = []string{"staff", "a,b"} }
	hd := func(c *oidc.Config) { c.Required = map[string][]string{"hd": {"example.com"}} }
	tests := []struct {
		name   string
		config func(*oidc.Config)
		said   string
		in     bool
	}{
		{"an allowed domain", domains, `{}`, true},
		{"in capitals", domains, `{"email":"a@EXAMPLE.COM"}`, true},
		{"not verified", domains, `{"email_verified":false}`, false},
		{"nothing said of it", domains, `{"email_verified":null}`, false},
		{"no address", domains, `{"email":null}`, false},
		{"another domain", domains, `{"email":"a@example.org"}`, false},
		{"a subdomain", domains, `{"email":"a@sub.example.com"}`, false},
		{"a domain that ends alike", domains, `{"email":"a@evil-example.com"}`, false},
		{"two @", domains, `{"email":"a@evil.example@example.com"}`, false},
		{"two @ the other way", domains, `{"email":"a@example.com@evil.example"}`, false},
		{"a quoted @", domains, `{"email":"\"a@evil.example\"@example.com"}`, false},
		{"a name before it", domains, `{"email":"Alice <a@evil.example> @example.com"}`, false},
		{"a dot behind", domains, `{"email":"a@example.com."}`, false},
		{"a line break", domains, `{"email":"a@example.com\n"}`, false},
		{"a letter that looks alike", domains, `{"email":"a@ex\u0430mple.com"}`, false},
		{"a letter that folds alike", domains, `{"email":"a@exam\u212ale.com"}`, false},
		{"always, nothing said", always, `{"email_verified":null}`, true},
		{"always, said otherwise", always, `{"email_verified":false}`, false},
		{"always, another domain", always, `{"email":"a@example.org","email_verified":null}`, false},
		{"a group", groups, `{"groups":["staff"]}`, true},
		{"a group among others", groups, `{"groups":["x","staff"]}`, true},
		{"no group", groups, `{"groups":[]}`, false},
		{"no groups claim", groups, `{"groups":null}`, false},
		{"an empty group", groups, `{"groups":[""]}`, false},
		{"another group", groups, `{"groups":["staffers"]}`, false},
		{"the group in capitals", groups, `{"groups":["STAFF"]}`, false},
		{"the groups in one", groups, `{"groups":["staff,x"]}`, false},
		{"a required claim", hd, `{"hd":"example.com"}`, true},
		{"one of a list", hd, `{"hd":["x","example.com"]}`, true},
		{"without it", hd, `{}`, false},
		{"another value", hd, `{"hd":"evil.example"}`, false},
		{"of another type", hd, `{"hd":{"example.com":true}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.config)
			w.say(tt.said)
			id, err := w.signIn("alice")
			switch {
			case tt.in && err != nil:
				t.Errorf("kept out: %v", err)
			case !tt.in && !errors.Is(err, mfa.ErrDenied):
				t.Errorf("%+v, error %v", id, err)
			}
		})
	}
	t.Run("always is only for the domains", func(t *testing.T) {
		w := newWorld(t, always)
		w.say(`{"email_verified":null}`)
		if id := w.mustSignIn("alice"); !id.EmailVerified {
			t.Error("not verified")
		}
	})
}

// AC-176: what the ID token lacks is asked for, of nobody but the person, and changes
// nothing that the ID token says.
func TestSource_AC176_UserInfo(t *testing.T) {
	lacks := func(names ...string) func(map[string]any) {
		return func(c map[string]any) {
			for _, name := range names {
				delete(c, name)
			}
		}
	}
	t.Run("fills what is missing", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Lie(oidctest.Lies{IDToken: lacks("email", "email_verified", "groups"), UserInfo: func(c map[string]any) { c["name"], c["amr"] = "Mallory", []string{"mfa"} }})
		id := w.mustSignIn("alice")
		if id.Email != "alice@example.com" || !id.EmailVerified || len(id.Groups) != 2 || id.DisplayName != "Alice Adams" {
			t.Errorf("%+v", id)
		}
	})
	t.Run("whether an address is verified is said where the address is", func(t *testing.T) {
		w := newWorld(t, nil)
		w.provider.Lie(oidctest.Lies{IDToken: lacks("email_verified")})
		if id := w.mustSignIn("alice"); !id.EmailVerified {
			t.Error("the same address there: not verified")
		}
		w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { delete(c, "email_verified"); c["email"] = "ceo@example.com" }})
		if id := w.mustSignIn("alice"); id.Email != "ceo@example.com" || id.EmailVerified {
			t.Errorf("another address is taken for verified: %+v", id)
		}
	})
	t.Run("off", func(t *testing.T) {
		w := newWorld(t, func(c *oidc.Config) { c.NoUserInfo = true })
		w.provider.Lie(oidctest.Lies{IDToken: lacks("groups")})
		if id := w.mustSignIn("alice"); len(id.Groups) != 0 || len(w.provider.Requests("/userinfo")) != 0 {
			t.Errorf("%+v", id)
		}
	})
	for name, lie := range map[string]func(map[string]any){
		"another subject":         func(c map[string]any) { c["sub"] = "sub-bob" },
		"no subject":              func(c map[string]any) { delete(c, "sub") },
		"a subject of a number":   func(c map[string]any) { c["sub"] = []int{1} },
		"two subjects":            func(c map[string]any) { c["\u017fub"] = "sub-bob" },
		"the subject in capitals": func(c map[string]any) { delete(c, "sub"); c["SUB"] = "sub-alice" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.provider.Lie(oidctest.Lies{IDToken: lacks("groups"), UserInfo: lie})
			if id, err := w.signIn("alice"); id != nil || err == nil {
				t.Errorf("%+v, error %v", id, err)
			}
		})
	}
}

// AC-021, AC-157: a second factor that the provider has asked for counts only where the
// configuration believes it, in what it names, and as old as it is.
func TestSource_AC021_ProvidedFactor(t *testing.T) {
	trust := oidc.Trust{AMR: []string{"mfa", "hwk"}, ACR: []string{"urn:example:mfa"}, PhishingResistant: []string{"hwk"}}
	for _, tt := range []struct {
		name  string
		trust oidc.Trust
		said  string
		want  string // "", "provided", "phishing-resistant"
	}{
		{"not believed", oidc.Trust{}, `{"amr":["mfa","hwk"],"acr":"urn:example:mfa"}`, ""},
		{"a method", trust, `{"amr":["pwd","mfa"]}`, "provided"},
		{"a resistant method", trust, `{"amr":["hwk"]}`, "phishing-resistant"},
		{"a class", trust, `{"amr":["pwd"],"acr":"urn:example:mfa"}`, "provided"},
		{"a class, and a resistant method", trust, `{"amr":["hwk"],"acr":"urn:example:mfa"}`, "phishing-resistant"},
		{"a password alone", trust, `{"amr":["pwd"]}`, ""},
		{"nothing said", trust, `{"amr":null}`, ""},
		{"a text", trust, `{"amr":"mfa"}`, ""},
		{"a list in a text", trust, `{"amr":"pwd mfa"}`, ""},
		{"in capitals", trust, `{"amr":["MFA"]}`, ""},
		{"a list of classes", trust, `{"amr":null,"acr":["urn:example:mfa"]}`, ""},
		{"no class is named", oidc.Trust{AMR: []string{"mfa"}}, `{"amr":null,"acr":""}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(c *oidc.Config) { c.Trust = tt.trust })
			var said map[string]any
			if err := json.Unmarshal([]byte(tt.said), &said); err != nil {
				t.Fatal(err)
			}
			w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) {
				for name, value := range said {
					if c[name] = value; value == nil {
						delete(c, name)
					}
				}
			}})
			got := w.mustSignIn("alice").Provided
			switch kind := got.Kind; {
			case tt.want == "" && got != (mfa.Proof{}):
				t.Errorf("provided: %+v", got)
			case tt.want != "" && (kind != mfa.Provided || got.PhishingResistant != (tt.want == "phishing-resistant") || !got.At.Equal(w.clock.Now())):
				t.Errorf("provided: %+v, want %s", got, tt.want)
			}
		})
	}
	t.Run("is as old as the sign-in there", func(t *testing.T) {
		w := newWorld(t, func(c *oidc.Config) { c.Trust = trust })
		w.provider.Change("alice", func(u *oidctest.User) { u.AMR = []string{"mfa"} })
		browser, began := w.provider.Browser(t), w.clock.Now()
		location, kept := w.begin(false)
		if _, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, form("alice"))); err != nil {
			t.Fatal(err)
		}
		w.clock.Move(3 * time.Hour)
		location, kept = w.begin(false)
		id, err := w.source.Finish(t.Context(), kept, w.provider.SignInWith(t, browser, location, nil))
		if err != nil || !id.Provided.At.Equal(began) {
			t.Errorf("of %s, want %s, error %v", id.Provided.At, began, err)
		}
	})
	t.Run("without auth_time nobody knows how old", func(t *testing.T) {
		w := newWorld(t, func(c *oidc.Config) { c.Trust = trust })
		w.provider.Lie(oidctest.Lies{IDToken: func(c map[string]any) { c["amr"] = []string{"mfa"}; delete(c, "auth_time") }})
		if got := w.mustSignIn("alice").Provided; got != (mfa.Proof{}) {
			t.Errorf("provided: %+v", got)
		}
	})
	t.Run("a class is asked for", func(t *testing.T) {
		w := newWorld(t, func(c *oidc.Config) { c.ACRValues = []string{"urn:example:mfa", "urn:example:hw"} })
		location, _ := w.begin(false)
		if !strings.Contains(location, "acr_values=urn%3Aexample%3Amfa+urn%3Aexample%3Ahw") {
			t.Errorf("sent to %s", location)
		}
	})
}

func form(name string) url.Values {
	return url.Values{"username": {name}, "password": {oidctest.Password}, "do": {"sign-in"}}
}
