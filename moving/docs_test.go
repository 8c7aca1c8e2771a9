package moving

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The example of the documents is read, and each field of the format stands there.
func TestDocs_MovingIn(t *testing.T) {
	raw, err := os.ReadFile("../docs/moving-in.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```jsonl\n(.*?)^```$").FindSubmatch(raw)
	if m == nil {
		t.Fatal("there is no example")
	}
	list := all(t, "jsonl", Options{EmailsVerified: true}, write(t, "f", string(m[1])))
	if len(list) != 2 || len(list[0].Apps) != 1 || len(list[1].Passkeys) != 1 || len(list[1].Passkeys[0].PublicKey) != 77 || string(list[1].Handle) != "the old handle" {
		t.Errorf("%+v", list)
	}
	for _, v := range []any{jsonUser{}, jsonApp{}, jsonPasskey{}} {
		kind := reflect.TypeOf(v)
		for i := range kind.NumField() {
			if name := kind.Field(i).Tag.Get("json"); !strings.Contains(string(raw), "`"+name+"`") {
				t.Errorf("the field %s is not described", name)
			}
		}
	}
	for _, name := range Formats() {
		if !strings.Contains(strings.ToLower(string(raw)), "\n## "+strings.NewReplacer("jsonl", "json lines").Replace(name)) {
			t.Errorf("the format %s has no part", name)
		}
	}
}
