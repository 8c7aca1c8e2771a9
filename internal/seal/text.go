package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrKeyFile says that the text is not a key set that this version reads.
var ErrKeyFile = errors.New("not a usable key file")

const (
	// The first version holds a primary key and those before it. The second one has all
	// statuses, and may be sealed with a master key. A program that knows the first alone
	// refuses the second.
	firstVersion = 1
	textVersion  = 2
	maxText      = 1 << 20
)

// keyText is the text of a key set, as JSON.
type keyText struct {
	Version int       `json:"version"`
	Set     []byte    `json:"set,omitempty"`
	Names   []byte    `json:"names,omitempty"`
	Serial  uint64    `json:"serial,omitempty"`
	Keys    []textKey `json:"keys,omitempty"`

	// Of a sealed text there is nothing but these: which master key, and the text itself.
	Master string `json:"master,omitempty"`
	Sealed []byte `json:"sealed,omitempty"`
}

type textKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Status  Status    `json:"status"`
	Since   time.Time `json:"since,omitzero"`
	Key     []byte    `json:"key"`
}

// encode returns the text, in the first version where that can say it.
func (st *state) encode() ([]byte, error) {
	t := keyText{Version: firstVersion}
	if st.serial > 0 {
		t = keyText{Version: textVersion, Set: st.set, Names: st.names, Serial: st.serial}
	}
	for i := range st.keys {
		k := &st.keys[i]
		t.Keys = append(t.Keys, textKey{ID: k.name(), Created: k.created, Status: k.status, Since: k.since, Key: k.secret})
	}
	return marshalText(t)
}

func marshalText(t keyText) ([]byte, error) {
	raw, err := json.MarshalIndent(t, "", "\t")
	return append(raw, '\n'), err
}

// parseText reads one text, sealed or not. No error repeats what is in it.
func parseText(raw []byte) (*keyText, error) {
	switch {
	case len(raw) == 0:
		return nil, fmt.Errorf("%w: it is empty, so its writing was cut short; remove it if there is no store yet, else restore it from a backup", ErrKeyFile)
	case len(raw) > maxText:
		return nil, fmt.Errorf("%w: too long", ErrKeyFile)
	}
	var head struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(raw, &head) == nil && head.Version > textVersion {
		return nil, fmt.Errorf("%w: a newer version wrote it (%d; this one reads up to %d); start that one", ErrKeyFile, head.Version, textVersion)
	}
	t := new(keyText)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil || d.More() || t.Version < firstVersion {
		return nil, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	sealed, plain := t.Master != "" || len(t.Sealed) > 0, len(t.Keys) > 0 || t.Serial > 0 || len(t.Set) > 0 || len(t.Names) > 0
	first := t.Version == firstVersion
	if sealed && (plain || first) || first && (t.Serial > 0 || len(t.Set) > 0 || len(t.Names) > 0) {
		return nil, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	return t, nil
}

// state returns what the text says, which is not sealed.
func (t *keyText) state() (*state, error) {
	var keys []key
	at := -1 // the primary one
	for i, tk := range t.Keys {
		k := key{created: tk.Created, status: tk.Status, since: tk.Since, secret: tk.Key}
		id, err := hex.DecodeString(tk.ID)
		switch {
		case err != nil || len(id) != idSize:
			return nil, fmt.Errorf("%w: the ID of key %d is damaged", ErrKeyFile, i+1)
		case len(tk.Key) != keySize:
			return nil, fmt.Errorf("%w: key %d has the wrong length", ErrKeyFile, i+1)
		}
		copy(k.id[:], id)
		if slices.ContainsFunc(keys, func(o key) bool { return o.id == k.id }) {
			return nil, fmt.Errorf("%w: two keys have one ID", ErrKeyFile)
		}
		switch {
		case tk.Status == Primary && at >= 0:
			return nil, fmt.Errorf("%w: it must hold one primary key, and holds several", ErrKeyFile)
		case tk.Status == Primary:
			at = i
		case tk.Status == DecryptOnly:
		case t.Version > firstVersion && (tk.Status == Pending || tk.Status == Retired):
		default:
			return nil, fmt.Errorf("%w: the status of key %d is unknown", ErrKeyFile, i+1)
		}
		keys = append(keys, k)
	}
	if at < 0 {
		return nil, fmt.Errorf("%w: it must hold one primary key, and holds none", ErrKeyFile)
	}
	primary := keys[at]
	others := slices.Delete(keys, at, at+1)
	if t.Version == firstVersion {
		return firstState(primary, others...), nil
	}
	if len(t.Names) != keySize || len(t.Set) == 0 || t.Serial == 0 {
		return nil, fmt.Errorf("%w: damaged", ErrKeyFile)
	}
	return &state{keys: append([]key{primary}, others...), set: t.Set, names: t.Names, serial: t.Serial}, nil
}
