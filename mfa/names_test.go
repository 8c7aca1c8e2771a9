package mfa

import (
	"errors"
	"testing"
)

// What nobody named is called so that it can be told apart from what is there already,
// also after some of it was removed.
func TestNameOr(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		held         []string
		chosen, want string
	}{
		{nil, "", "Phone"},
		{[]string{"Key"}, "", "Phone"},
		{[]string{"Phone"}, " ", "Phone 2"},
		{[]string{"Phone", "Phone 2"}, "", "Phone 3"},
		{[]string{"Phone 2"}, "", "Phone"},
		{[]string{"Phone", "Phone 3"}, "", "Phone 2"},
		{[]string{"Phone"}, "Phone", "Phone"}, // whoever wants it so has it so
	} {
		u := new(User)
		for _, name := range test.held {
			u.Credentials = append(u.Credentials, Credential{Name: name})
		}
		if got, err := nameOr(test.chosen, "Phone", u); err != nil || got != test.want {
			t.Errorf("beside %q: %q, %v; want %q", test.held, got, err, test.want)
		}
	}
	if _, err := nameOr("\x00\u202e", "Phone", new(User)); !errors.Is(err, ErrName) {
		t.Errorf("a name of nothing: %v", err)
	}
}
