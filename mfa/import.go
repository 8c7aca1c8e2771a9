package mfa

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxImport is how many people one Import takes.
const MaxImport = 500

// maxMovedGroups is how many groups of a person move; no source of identities gives more.
const maxMovedGroups = 1000

// ImportInput is one batch of a move.
type ImportInput struct {
	From   string // what they come from, for the record: "authelia"
	People []Newcomer
	DryRun bool // say what would become of them, and change nothing
}

// Import makes accounts for people who come from another system, and says of each and of
// each thing of theirs what became of it, in their order. People who are here stay as they
// are, whatever the other system says of them. What is read in a file is believed no more
// than a form: each part is checked like one that a person set up here.
//
// It is for commands on the machine alone, never for a program with a key or for the
// console: whoever may import makes accounts whose factors they know. The batch is kept
// as an event before the first account is made, and each account as another. ErrNotAllowed,
// ErrNoLocal, ErrLimit. On any other error some of the people may be in already; the same
// batch again goes on where it stopped.
func (a *Administration) Import(ctx context.Context, in ImportInput) ([]Moved, error) {
	if a.actor.Powers != allPowers || a.actor.User != "" || a.actor.key != "" || a.actor.Organization != "" {
		return nil, ErrNotAllowed
	}
	if len(in.People) > MaxImport {
		return nil, ErrLimit
	}
	if a.g.source(LocalSource) == nil || a.g.cfg.Passwords == nil {
		return nil, ErrNoLocal
	}
	from, err := cleanText(in.From)
	if err != nil {
		return nil, err
	}
	m := mover{g: a.g, ctx: ctx, names: map[string]bool{}, keys: map[string]bool{}}
	results := make([]Moved, len(in.People))
	users := make([]*User, len(in.People))
	count := 0
	for i := range in.People {
		if users[i], results[i], err = m.plan(&in.People[i]); err != nil {
			return nil, err
		}
		if users[i] != nil {
			count++
		}
	}
	if in.DryRun || count == 0 {
		return results, nil
	}
	what := fmt.Sprintf("import %d people from %s", count, from)
	return results, a.act(ctx, nil, what, func() error {
		for i, u := range users {
			if u == nil {
				continue
			}
			err := a.g.cfg.Store.CreateUser(ctx, u)
			if errors.Is(err, ErrTaken) {
				// Somebody signed up in this moment.
				results[i].Arrival, results[i].Why, results[i].Items = Refused, "the name, or something of theirs, was taken in this moment; run the import again", nil
				a.refused(ctx, u, "import from "+from, ErrNameTaken)
				continue
			}
			if err != nil {
				return fmt.Errorf("making an account: %w", err)
			}
			a.g.cfg.Events.Record(ctx, a.event(u, Event{Name: EventAdmin, OK: true, Detail: "import from " + from + holdings(u)}))
		}
		return nil
	})
}

// holdings says in a few words what somebody brought along.
func holdings(u *User) string {
	var list []string
	if len(u.Password) > 0 {
		list = append(list, "password")
	}
	for _, c := range u.Credentials {
		list = append(list, string(c.Kind))
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// mover plans a batch. Within it, nobody may have what somebody before has.
type mover struct {
	g     *Gate
	ctx   context.Context
	names map[string]bool
	keys  map[string]bool
}

// plan returns the account that the person would get, or nil, and what becomes of them. An
// error is a fault of the store.
func (m *mover) plan(n *Newcomer) (*User, Moved, error) {
	moved := Moved{Name: shortened(n.Name), Arrival: Refused}
	account, err := m.g.source(LocalSource).Account(n.Name)
	if err != nil {
		moved.Why = "no account can have this name: it takes 1 to 64 of a-z, 0-9, dot, dash and underscore, with a letter or digit first; change it in the file"
		return nil, moved, nil
	}
	moved.Name = account
	if m.names[account] {
		moved.Why = "the name stands twice in what is imported"
		return nil, moved, nil
	}
	m.names[account] = true
	old, err := m.g.userByKey(m.ctx, NameKey(account))
	switch {
	case err != nil:
		return nil, moved, err
	case old != nil && old.Source == LocalSource && !old.Imported.IsZero():
		moved.Arrival, moved.Why = Here, "moved in on "+old.Imported.UTC().Format("2006-01-02")
		return nil, moved, nil
	case old != nil:
		moved.Why = "there is an account of this name, which stays as it is"
		return nil, moved, nil
	}
	now := m.g.now()
	u := &User{
		ID: NewUserID(), Handle: newUserHandle(), Source: LocalSource, Subject: account, Name: account,
		Created: now, Imported: now, Disabled: n.Disabled,
	}
	b := bringer{mover: m, n: n, u: u, moved: &moved}
	for _, step := range []func() error{b.profile, b.address, b.phone, b.memberships, b.password, b.apps, b.passkeys, b.codes} {
		if err := step(); err != nil {
			return nil, moved, err
		}
	}
	u.EverEnrolled = len(u.Credentials) > 0
	moved.Arrival = Arrives
	return u, moved, nil
}

// taken reports whether a unique key is somebody's already, here or in this batch; where
// it is not, it is now this person's.
func (m *mover) taken(key string) (bool, error) {
	if m.keys[key] {
		return true, nil
	}
	u, err := m.g.userByKey(m.ctx, key)
	if err != nil || u != nil {
		return u != nil, err
	}
	m.keys[key] = true
	return false, nil
}

// bringer fills one account with what the person brings along.
type bringer struct {
	*mover
	n     *Newcomer
	u     *User
	moved *Moved
}

func (b *bringer) item(item string, v Verdict, why string) {
	b.moved.Items = append(b.moved.Items, MovedItem{item, v, why})
}

// noted is item for what moves, with a note or without.
func (b *bringer) noted(item, note string) {
	if note == "" {
		b.item(item, Moves, "")
		return
	}
	b.item(item, MovesIf, note)
}

// lost is item for what an error of a mover refuses. Any other error is a fault.
func (b *bringer) lost(item, then string, err error) error {
	var why *MoveError
	if !errors.As(err, &why) {
		return err
	}
	b.item(item, Lost, why.Why+"; "+then)
	return nil
}

func (b *bringer) profile() error {
	b.u.DisplayName = plainText(b.n.DisplayName)
	return nil
}

func (b *bringer) address() error {
	if strings.TrimSpace(b.n.Email) == "" {
		return nil
	}
	email, err := cleanEmail(b.n.Email)
	if err != nil {
		b.item("e-mail address", Lost, "it is not one that this gateway can write to; the person enters another on the account page")
		return nil
	}
	b.u.Email = email
	if !b.n.EmailVerified {
		b.item("e-mail address", MovesIf, "not verified: it does not sign in and apps are not told of it until the person proves it (--emails-verified, where the other system made sure)")
		return nil
	}
	switch taken, err := b.taken(AddressKey(Email, email)); {
	case err != nil:
		return err
	case taken:
		b.item("e-mail address", MovesIf, "not verified: somebody else has proven it, or stands before in the file with it")
	default:
		b.u.EmailVerified = true
		b.item("e-mail address", Moves, "")
	}
	return nil
}

func (b *bringer) phone() error {
	phone, err := b.g.cleanPhone(b.n.Phone)
	switch {
	case err != nil:
		b.item("phone number", Lost, "it is no mobile number with its country, such as +4915112345678, or of a country that text messages do not go to; the person enters it on the account page")
	case phone != "":
		b.u.Phone = phone
		b.item("phone number", MovesIf, "not verified: it does not sign in until the person proves it")
	}
	return nil
}

func (b *bringer) memberships() error {
	groups := b.n.Groups
	if n := len(groups) - maxMovedGroups; n > 0 {
		b.item(fmt.Sprintf("%d groups", n), Lost, fmt.Sprintf("nobody has more than %d; the first of them move", maxMovedGroups))
		groups = groups[:maxMovedGroups]
	}
	for _, group := range groups {
		clean, err := cleanText(group)
		switch {
		case err != nil || clean == "":
			b.item("group "+quoted(group), Lost, "a group has a name without comma, semicolon and bar")
		case !slices.Contains(b.u.Groups, clean):
			b.u.Groups = append(b.u.Groups, clean)
		}
	}
	if len(b.u.Groups) > 0 {
		b.item("groups "+strings.Join(b.u.Groups, ", "), Moves, "")
	}
	orgs := b.n.Organizations
	if n := len(orgs) - MaxOrganizations; n > 0 {
		b.item(fmt.Sprintf("%d organizations", n), Lost, fmt.Sprintf("nobody is a member of more than %d by hand", MaxOrganizations))
		orgs = orgs[:MaxOrganizations]
	}
	for _, id := range orgs {
		switch list, err := b.g.listed(append(slices.Clone(b.u.Organizations), id)); {
		case errors.Is(err, ErrNotFound):
			b.item("organization "+quoted(string(id)), Lost, "there is none of that name; make it first: secondgate mfa orgs set NAME")
		case errors.Is(err, ErrLimit):
			b.item("organization "+quoted(string(id)), Lost, fmt.Sprintf("nobody is a member of more than %d by hand", MaxOrganizations))
		case err != nil:
			return err
		default:
			b.u.Organizations = list
			b.item("organization "+string(id), Moves, "")
		}
	}
	return nil
}

func (b *bringer) password() error {
	then := "make a link for a new one: secondgate mfa users invite " + b.u.Name
	if len(b.n.Password) == 0 {
		b.item("password", Lost, "there is none in the file; "+then)
		return nil
	}
	pm, ok := b.g.cfg.Passwords.(PasswordMover)
	if !ok {
		b.item("password", Lost, "this gateway takes no hashes; "+then)
		return nil
	}
	note, err := pm.Adopt(b.n.Password)
	if err != nil {
		return b.lost("password", then, err)
	}
	b.u.Password = slices.Clone(b.n.Password)
	b.noted("password", note)
	return nil
}

func (b *bringer) apps() error {
	am, ok := b.g.cfg.TOTP.(AuthenticatorMover)
	held := 0
	for _, app := range b.n.Apps {
		item, name := b.named("authenticator app", "Authenticator app", app.Name)
		if !ok || held >= MaxTOTP {
			b.item(item, Lost, fmt.Sprintf("nobody has more than %d here", MaxTOTP))
			continue
		}
		data, digits, step, note, err := am.Adopt(app, b.g.now())
		if err != nil {
			if err := b.lost(item, setUpAgain, err); err != nil {
				return err
			}
			continue
		}
		held++
		b.u.Credentials = append(b.u.Credentials, Credential{ID: newCredentialID(), Kind: TOTP, Name: name, Created: b.u.Created, Data: data, Digits: digits, Step: step})
		b.noted(item, note)
	}
	return nil
}

const setUpAgain = "the person sets it up again on the account page"

func (b *bringer) passkeys() error {
	pm, ok := b.g.cfg.Passkeys.(PasskeyMover)
	held, handle := 0, ""
	if b.knownHandle() {
		switch taken, err := b.taken(HandleKey(b.n.Handle)); {
		case err != nil:
			return err
		case !taken:
			b.u.Handle = slices.Clone(b.n.Handle)
			handle = "known"
		}
	}
	for _, key := range b.n.Passkeys {
		item, name := b.named("passkey", "Passkey", key.Name)
		if !ok || held >= MaxPasskeys {
			b.item(item, Lost, fmt.Sprintf("nobody has more than %d here", MaxPasskeys))
			continue
		}
		note, err := b.worksAt(&key)
		var c *Credential
		if err == nil {
			c, err = pm.Adopt(key)
		}
		if err != nil {
			if err := b.lost(item, setUpAgain, err); err != nil {
				return err
			}
			continue
		}
		taken, err := b.taken(CredentialKey(c.Unique))
		if err != nil {
			return err
		}
		if taken {
			b.item(item, Lost, "this very key is somebody's already; "+setUpAgain)
			continue
		}
		held++
		c.ID, c.Name, c.Created = newCredentialID(), name, b.u.Created
		b.u.Credentials = append(b.u.Credentials, *c)
		var notes []string
		if note != "" {
			notes = append(notes, note)
		}
		if key.Unverified {
			notes = append(notes, "it must ask for its PIN or a finger here: a key that cannot is set up again or goes")
		}
		if handle == "" {
			notes = append(notes, "a second factor after the password; to sign in by itself it is set up again")
		}
		b.noted(item, strings.Join(notes, "; "))
	}
	return nil
}

// knownHandle reports whether the handle of the other system is one that authenticators
// can have been given (WebAuthn §5.4.3).
func (b *bringer) knownHandle() bool {
	return len(b.n.Passkeys) > 0 && len(b.n.Handle) > 0 && len(b.n.Handle) <= 64
}

// worksAt finds the relying party of a key of which only the hash is known, and says where
// the key works. One that works nowhere here is not taken: its owner would be asked for
// what they cannot give.
func (b *bringer) worksAt(key *MovedPasskey) (note string, err error) {
	ids, any := []string(nil), true
	if b.g.cfg.Hosts != nil {
		ids, any = b.g.cfg.Hosts()
	}
	if key.RPID == "" && len(key.RPIDHash) == sha256.Size {
		i := slices.IndexFunc(ids, func(id string) bool { return sha256.Sum256([]byte(id)) == [sha256.Size]byte(key.RPIDHash) })
		if i < 0 {
			return "", &MoveError{Why: "the file does not say in words for which domain it was made, and it is none of this gateway's; where you know it, say --rp-id auth.example.com"}
		}
		key.RPID = ids[i]
	}
	key.RPID = strings.ToLower(key.RPID)
	if key.RPID == "" || strings.ContainsAny(key.RPID, ":/ ") || len(key.RPID) > 253 {
		return "", &MoveError{Why: "it was made for no domain that a browser of today takes (a U2F key)"}
	}
	switch {
	case slices.Contains(ids, key.RPID):
		if len(ids) > 1 || any {
			return "it works only where passkeys are made for " + key.RPID, nil
		}
		return "", nil
	case any:
		return "it works only where passkeys are made for " + key.RPID + ", and the configuration does not say whether there is such a place", nil
	}
	return "", &MoveError{Why: "it was made for " + quoted(key.RPID) + ", and this gateway's passkeys are for " + strings.Join(ids, ", ") + ", so that no browser would offer it (write \"domain " + key.RPID + "\" where your hosts are below that name)"}
}

func (b *bringer) codes() error {
	if len(b.n.BackupCodes) == 0 {
		return nil
	}
	cm, ok := b.g.cfg.Codes.(BackupCodesMover)
	if !ok || !slices.ContainsFunc(b.u.Credentials, func(c Credential) bool { return c.Kind.Primary() }) {
		b.item("backup codes", Lost, "they belong to another factor, and none moves; the person makes new ones")
		return nil
	}
	left, err := cm.Adopt(b.n.BackupCodes)
	if err != nil {
		return b.lost("backup codes", "the person makes new ones on the account page", err)
	}
	b.u.Credentials = append(b.u.Credentials, Credential{ID: BackupCodesID, Kind: BackupCode, Created: b.u.Created, Data: slices.Clone(b.n.BackupCodes), Left: left, Step: b.u.Created.UnixNano()})
	b.item("backup codes", Moves, "")
	return nil
}

// named returns what an item and a credential are called. A name that no credential can
// have, or that another one has, gives way to the usual one.
func (b *bringer) named(item, usual, name string) (string, string) {
	name = plainText(name)
	for utf8.RuneCountInString(name) > MaxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if _, err := CleanName(name); err != nil || slices.ContainsFunc(b.u.Credentials, func(c Credential) bool { return c.Name == name }) {
		name = ""
	}
	if name != "" {
		return item + " " + quoted(name), name
	}
	name, _ = nameOr("", usual, b.u)
	return item, name
}

// quoted writes what somebody else chose for one line of a terminal or a record.
func quoted(s string) string { return fmt.Sprintf("%q", shortened(s)) }

// shortened cuts a text that nobody has checked.
func shortened(s string) string {
	if s = strings.ToValidUTF8(s, "?"); len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
