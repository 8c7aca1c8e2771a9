package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store"
)

// full returns a store with a row of everything.
func full(t *testing.T) (*Store, Options) {
	t.Helper()
	o := withTables(t)
	s := openAt(t, o, newKeys(t))
	for _, name := range []string{"alice", "bob"} {
		u := person(name)
		u.Credentials = append(u.Credentials, mfa.Credential{ID: "key", Kind: mfa.Passkey, Data: mfa.Secret("public-" + name), Unique: "raw-" + name})
		u.Organizations = []mfa.OrganizationID{"acme"}
		must(t, s.CreateUser(ctx, u))
		must(t, s.CreateSession(ctx, sessionOf("s-"+name, u.ID)))
		must(t, s.PutChallenge(ctx, &mfa.Challenge{ID: "c-" + name, Purpose: mfa.ForSignIn, User: u.ID, Expires: time.Now().Add(time.Hour)}))
		must(t, s.UpdateAttempts(ctx, []string{"a-" + name}, func(a []mfa.Attempts) error { a[0].Count = 7; return nil }))
		must(t, s.CreateOrganization(ctx, &mfa.Organization{ID: mfa.OrganizationID("o-" + name)}))
		must(t, s.CreateAPIKey(ctx, &mfa.APIKey{ID: "k-" + name}))
		must(t, s.UpdateCampaign(ctx, mfa.OrganizationID("o-"+name), func(*mfa.Campaign) error { return nil }))
		must(t, s.AppendEvents(ctx, []mfa.Event{{At: time.Now(), Name: mfa.EventSignIn, User: u.ID, Decision: "d-" + name}}))
	}
	must(t, s.UpdatePolicySettings(ctx, func(p *mfa.PolicySettings) error { p.Off = true; return nil }))
	return s, o
}

// reading is how a kind of row is read, and where it stands.
type reading struct {
	table, column, id string
	read              func(s *Store) error
}

var readings = []reading{
	{"users", "id", "id-alice", func(s *Store) error { _, err := s.User(ctx, "id-alice"); return err }},
	{"users", "id", "id-alice", func(s *Store) error { _, err := s.UserByKey(ctx, mfa.CredentialKey("raw-alice")); return err }},
	{"users", "id", "id-alice", func(s *Store) error {
		return s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Admin = true; return nil })
	}},
	{"users", "id", "id-alice", func(s *Store) error { _, _, err := s.ListUsers(ctx, mfa.UserQuery{}, "", 9); return err }},
	{"users", "id", "id-alice", func(s *Store) error {
		_, _, err := s.ListUsers(ctx, mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetOrganization("acme")}}}, "", 9)
		return err
	}},
	{"users", "id", "id-alice", func(s *Store) error { _, _, err := s.ListUsers(ctx, mfa.UserQuery{Search: "ali"}, "", 9); return err }},
	{"sessions", "id", "s-alice", func(s *Store) error { _, err := s.Session(ctx, "s-alice"); return err }},
	{"sessions", "id", "s-alice", func(s *Store) error { _, err := s.UserSessions(ctx, "id-alice"); return err }},
	{"sessions", "id", "s-alice", func(s *Store) error {
		return s.UpdateSession(ctx, "s-alice", func(*mfa.Session) error { return nil })
	}},
	{"challenges", "id", "c-alice", func(s *Store) error { _, err := s.Challenge(ctx, "c-alice"); return err }},
	{"challenges", "id", "c-alice", func(s *Store) error { _, err := s.TakeChallenge(ctx, "c-alice"); return err }},
	{"attempts", "key", "a-alice", func(s *Store) error { _, err := s.Attempts(ctx, "a-alice"); return err }},
	{"attempts", "key", "a-alice", func(s *Store) error {
		return s.UpdateAttempts(ctx, []string{"a-alice"}, func(a []mfa.Attempts) error { a[0].Count++; return nil })
	}},
	{"organizations", "id", "o-alice", func(s *Store) error { _, err := s.Organization(ctx, "o-alice"); return err }},
	{"organizations", "id", "o-alice", func(s *Store) error { _, err := s.ListOrganizations(ctx); return err }},
	{"policy", "name", "gateway", func(s *Store) error { _, err := s.PolicySettings(ctx); return err }},
	{"api_keys", "id", "k-alice", func(s *Store) error { _, err := s.APIKey(ctx, "k-alice"); return err }},
	{"api_keys", "id", "k-alice", func(s *Store) error { _, err := s.ListAPIKeys(ctx); return err }},
	{"campaigns", "organization", "o-alice", func(s *Store) error { _, err := s.Campaign(ctx, "o-alice"); return err }},
	{"campaigns", "organization", "o-alice", func(s *Store) error { _, err := s.ListCampaigns(ctx); return err }},
	{"events", "number::text", "1", func(s *Store) error { _, _, err := s.Events(ctx, mfa.EventQuery{}, "", 9); return err }},
	{"events", "number::text", "1", func(s *Store) error { _, err := s.EventsInOrder(ctx, 1, 9); return err }},
	{"meta", "name", "events", func(s *Store) error { return s.AppendEvents(ctx, []mfa.Event{{At: time.Now()}}) }},
	{"meta", "name", "events", func(s *Store) error { _, err := s.ChainEnds(ctx); return err }},
}

// AC-189: whatever byte of a record is changed, and however it is cut, it is damage, and
// never "not found": a user whose record is damaged is not one without factors.
func TestStore_findsChangedRecords(t *testing.T) {
	s, o := full(t)
	for _, r := range readings {
		var whole []byte
		must(t, s.db.pool.QueryRow(ctx, `SELECT record FROM `+r.table+` WHERE `+r.column+` = $1`, r.id).Scan(&whole))
		put := func(record []byte) {
			changed(t, o.URL, 1, `UPDATE `+r.table+` SET record = $2 WHERE `+r.column+` = $1`, r.id, record)
		}
		for _, at := range []int{1, 3, 10, len(whole) / 2, len(whole) - 1} {
			broken := append([]byte{}, whole...)
			broken[at] ^= 1
			put(broken)
			if err := r.read(s); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s, byte %d of %d: %v", r.table, at, len(whole), err)
			}
		}
		for _, size := range []int{0, 1, 20, len(whole) - 1} {
			put(whole[:size])
			if err := r.read(s); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s, cut to %d bytes: %v", r.table, size, err)
			}
		}
		newer := append([]byte{}, whole...)
		newer[0] = store.Version + 1
		put(newer)
		if err := r.read(s); !errors.Is(err, store.ErrNewer) {
			t.Errorf("%s, of a newer version: %v", r.table, err)
		}
		put(whole)
	}
}

// AC-195: the record of one stands for nobody else.
func TestStore_findsSwappedRecords(t *testing.T) {
	s, o := full(t)
	for _, table := range [][2]string{
		{"users", "id"}, {"sessions", "id"}, {"challenges", "id"}, {"attempts", "key"}, {"organizations", "id"}, {"api_keys", "id"}, {"campaigns", "organization"}, {"events", "number"},
	} {
		changed(t, o.URL, 2, `UPDATE `+table[0]+` SET record = (SELECT o.record FROM `+table[0]+` o WHERE o.`+table[1]+` <> `+table[0]+`.`+table[1]+`)`)
	}
	for _, r := range readings {
		if r.table == "policy" || r.table == "meta" {
			continue
		}
		if err := r.read(s); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: %v", r.table, err)
		}
	}
}

// AC-195: the key of one must not lead to somebody else, or a passkey of the one would sign
// in as the other; nor to nobody, or it would be free.
func TestStore_findsKeysThatLeadElsewhere(t *testing.T) {
	s, o := full(t)
	changed(t, o.URL, 1, `UPDATE user_keys SET user_id = 'id-alice' WHERE key = $1`, mfa.CredentialKey("raw-bob"))
	changed(t, o.URL, 1, `UPDATE user_keys SET user_id = 'id-nobody' WHERE key = $1`, mfa.CredentialKey("raw-alice"))
	for _, key := range []string{"raw-alice", "raw-bob"} {
		_, err := s.UserByKey(ctx, mfa.CredentialKey(key))
		wantErr(t, err, store.ErrDamaged)
	}
}

// AC-195: a session does not become another's, and none is hidden from who ends all of a
// user's, by a change of the columns beside the record.
func TestStore_findsEditedSessions(t *testing.T) {
	s, o := full(t)
	get := func() error { _, err := s.Session(ctx, "s-alice"); return err }
	list := func(user mfa.UserID) error { _, err := s.UserSessions(ctx, user); return err }
	must(t, get())
	changed(t, o.URL, 1, `UPDATE sessions SET user_id = 'id-bob' WHERE id = 's-alice'`)
	wantErr(t, get(), store.ErrDamaged)
	wantErr(t, list("id-bob"), store.ErrDamaged)
	changed(t, o.URL, 1, `UPDATE sessions SET user_id = 'id-alice', ended = now() WHERE id = 's-alice'`)
	wantErr(t, get(), store.ErrDamaged)
	changed(t, o.URL, 1, `UPDATE sessions SET ended = NULL, complete = false, expires = 'infinity', scope = 'other' WHERE id = 's-alice'`)
	must(t, get())

	must(t, s.EndSession(ctx, "s-alice"))
	changed(t, o.URL, 1, `UPDATE sessions SET ended = NULL WHERE id = 's-alice'`)
	wantErr(t, get(), mfa.ErrNotFound)
	must(t, list("id-alice"))

	// Last seen is believed up to the session's own end.
	changed(t, o.URL, 1, `UPDATE sessions SET last_seen = now() + interval '10 years' WHERE id = 's-bob'`)
	x, err := s.Session(ctx, "s-bob")
	must(t, err)
	if !x.LastSeen.Equal(x.Expires) {
		t.Errorf("last seen %s, expires %s", x.LastSeen, x.Expires)
	}
	changed(t, o.URL, 1, `UPDATE sessions SET last_seen = 'epoch' WHERE id = 's-bob'`)
	x, err = s.Session(ctx, "s-bob")
	must(t, err)
	if time.Since(x.LastSeen) > time.Hour {
		t.Errorf("last seen %s: the record says otherwise", x.LastSeen)
	}
}

// AC-195: what stands beside a record for people who look lets nobody in.
func TestStore_believesRecordsAndNoColumns(t *testing.T) {
	s, o := full(t)
	must(t, s.UpdateUser(ctx, "id-alice", func(u *mfa.User) error { u.Disabled = true; return nil }))
	changed(t, o.URL, 1, `UPDATE users SET disabled = false, admin = true, email = 'e', email_verified = true, factors = '{}' WHERE id = 'id-alice'`)
	u, err := s.User(ctx, "id-alice")
	must(t, err)
	if !u.Disabled || u.Admin || u.Email != "" || len(u.Credentials) != 2 {
		t.Errorf("got %+v", u)
	}
	changed(t, o.URL, 1, `UPDATE attempts SET count = 0 WHERE key = 'a-alice'`)
	a, err := s.Attempts(ctx, "a-alice")
	must(t, err)
	if a.Count != 7 {
		t.Errorf("%d attempts", a.Count)
	}
	_, err = s.TakeChallenge(ctx, "c-alice")
	must(t, err)
	changed(t, o.URL, 1, `UPDATE challenges SET taken = NULL WHERE id = 'c-alice'`)
	_, err = s.TakeChallenge(ctx, "c-alice")
	wantErr(t, err, mfa.ErrNotFound)

	// A row of an index that leads to somebody who is not of it.
	changed(t, o.URL, 1, `UPDATE user_facets SET facet = 'organization:beta' WHERE user_id = 'id-bob' AND facet = 'organization:acme'`)
	_, _, err = s.ListUsers(ctx, mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetOrganization("beta")}}}, "", 9)
	wantErr(t, err, store.ErrDamaged)
	changed(t, o.URL, 1, `UPDATE user_terms SET user_id = 'id-alice' WHERE user_id = 'id-bob' AND term = 'bob'`)
	_, _, err = s.ListUsers(ctx, mfa.UserQuery{Search: "bob"}, "", 9)
	wantErr(t, err, store.ErrDamaged)
}

// Events are chained: what is changed, moved or taken away is found by its number.
func TestStore_findsChangedEvents(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		want      string
	}{
		"the record":   {`UPDATE events SET record = set_byte(record, 50, get_byte(record, 50) # 1) WHERE number = 2`, mfa.ChainChanged},
		"the user":     {`UPDATE events SET user_id = 'id-bob' WHERE number = 2`, mfa.ChainChanged},
		"the decision": {`UPDATE events SET decision = '' WHERE number = 2`, mfa.ChainChanged},
		"the time":     {`UPDATE events SET at_nano = at_nano - 1 WHERE number = 2`, mfa.ChainChanged},
		"taken away":   {`DELETE FROM events WHERE number = 2`, mfa.ChainMissing},
	} {
		t.Run(name, func(t *testing.T) {
			o := withTables(t)
			s := openAt(t, o, newKeys(t))
			for range 3 {
				must(t, s.AppendEvents(ctx, []mfa.Event{{At: time.Now(), Name: mfa.EventSignIn, User: "id-alice", Decision: "d"}}))
			}
			changed(t, o.URL, 1, c.statement)
			_, err := mfa.CheckChain(ctx, s, mfa.Chain{})
			var broken *mfa.ChainError
			if !errors.As(err, &broken) || broken.Number != 2 || broken.What != c.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A table that is gone is nobody's "not found".
func TestStore_missingTablesAreErrors(t *testing.T) {
	s, o := full(t)
	for _, r := range readings {
		sql(t, o.URL, `DROP TABLE IF EXISTS `+r.table+` CASCADE`)
		if err := r.read(s); err == nil || errors.Is(err, mfa.ErrNotFound) {
			t.Errorf("%s: %v", r.table, err)
		}
	}
}

// What the database cannot hold is refused when it is written, and nobody when it is read.
func TestStore_refusesIDsThatAreNotText(t *testing.T) {
	s := openAt(t, withTables(t), newKeys(t))
	for _, id := range []string{"a\xffb", "a\x00b", "\xed\xa0\x80"} {
		u := person("alice")
		u.ID = mfa.UserID(id)
		if err := s.CreateUser(ctx, u); err == nil {
			t.Errorf("a user %q was kept", id)
		}
		u = person("alice")
		u.Name = id
		if err := s.CreateUser(ctx, u); err == nil {
			t.Errorf("a name %q was kept", id)
		}
		u = person("alice")
		u.Subject = id
		if err := s.CreateUser(ctx, u); err == nil {
			t.Errorf("a subject %q was kept", id)
		}
		if err := s.CreateSession(ctx, sessionOf(id, "id-alice")); err == nil {
			t.Errorf("a session %q was kept", id)
		}
		if err := s.PutChallenge(ctx, &mfa.Challenge{ID: id}); err == nil {
			t.Errorf("a challenge %q was kept", id)
		}
		if err := s.UpdateAttempts(ctx, []string{id}, func([]mfa.Attempts) error { return nil }); err == nil {
			t.Errorf("a counter %q was kept", id)
		}
		_, err := s.User(ctx, mfa.UserID(id))
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.UserByKey(ctx, id)
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.Session(ctx, mfa.SessionID(id))
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.TakeChallenge(ctx, id)
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.Organization(ctx, mfa.OrganizationID(id))
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.APIKey(ctx, id)
		wantErr(t, err, mfa.ErrNotFound)
		_, err = s.Campaign(ctx, mfa.OrganizationID(id))
		wantErr(t, err, mfa.ErrNotFound)
		wantErr(t, s.RemoveCampaign(ctx, mfa.OrganizationID(id)), mfa.ErrNotFound)
		must(t, s.EndSession(ctx, mfa.SessionID(id)))
		must(t, s.EndUserSessions(ctx, mfa.UserID(id), ""))
	}
}

// A session whose end is owed and cannot be written, because a newer version wrote its
// record, does not keep the ends of others from being written (AC-191).
func TestStore_aSessionThatCannotBeEndedHoldsUpNoOther(t *testing.T) {
	s, o := full(t)
	changed(t, o.URL, 1, `UPDATE sessions SET record = '\xff00' WHERE id = 's-alice'`)
	wantErr(t, s.EndSession(ctx, "s-alice"), store.ErrNewer)
	for range 8 { // the order is not ours
		s.doomed.Add("s-bob", "id-bob")
		s.endDoomed(ctx)
		if s.doomed.Has("s-bob") {
			t.Fatal("another session's end is not written")
		}
	}
	_, err := s.Session(ctx, "s-alice")
	wantErr(t, err, mfa.ErrNotFound)
}
