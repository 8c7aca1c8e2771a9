package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
)

// checkMembers reports with nil that raw is one object whose members are the fields of
// T, each at most once and the required ones there. encoding/json alone takes "CODE" for
// "code", and of two the last.
func checkMembers[T any](raw []byte) error {
	fields, required := fieldsOf(reflect.TypeFor[T]())
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errBody
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		switch {
		case err != nil, !ok, seen[name]:
			return errBody
		case !fields[name]:
			return &unknownFieldError{plainName(name)}
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || depth(value) > maxDepth {
			return errBody
		}
		if string(value) == "null" {
			return &fieldError{name, "missing"}
		}
	}
	if _, err := d.Token(); err != nil {
		return errBody
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errBody // something stands behind it
	}
	for _, name := range required {
		if !seen[name] {
			return &fieldError{name, "missing"}
		}
	}
	return nil
}

func fieldsOf(t reflect.Type) (all map[string]bool, required []string) {
	all = map[string]bool{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[name] = true
		if options == "" {
			required = append(required, name)
		}
	}
	return all, required
}

// depth is how deep a value nests.
func depth(raw []byte) int {
	d := json.NewDecoder(bytes.NewReader(raw))
	now, most := 0, 0
	for {
		t, err := d.Token()
		if err != nil {
			return most
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			now++
			most = max(most, now)
		case json.Delim('}'), json.Delim(']'):
			now--
		}
	}
}
