package moving

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a YAML file. Its tree takes some hundred bytes for each value.
const (
	maxYAML  = 16 << 20  // bytes
	maxMarks = 1_000_000 // line breaks, commas and brackets: more values there cannot be
)

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yaml reads a YAML document into its tree. Aliases are refused wherever they stand: none
// of the formats needs them, and a few lines of them stand for more than any memory holds.
func (f file) yaml(data []byte) (*yaml.Node, error) {
	if at := firstInvalid(data); at >= 0 {
		return nil, &Error{f.name, 1 + bytes.Count(data[:at], []byte{'\n'}), "it is no UTF-8 text; save the file as UTF-8"}
	}
	marks := 0
	for _, c := range data {
		if strings.IndexByte("\n,[{", c) >= 0 {
			marks++
		}
	}
	if marks > maxMarks {
		return nil, &Error{f.name, 0, "it has more than a million values; split it into several files"}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); err == io.EOF {
		return nil, &Error{f.name, 0, "it is empty"}
	} else if err != nil {
		// Its text may repeat what stands there, which may be a secret.
		line := 0
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		return nil, &Error{f.name, line, "it is no YAML"}
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, &Error{f.name, 0, "it holds more than one YAML document"}
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, &Error{f.name, 0, "it is empty"}
	}
	return doc.Content[0], nil
}

func firstInvalid(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// fields calls do with each field of a mapping, in its order.
func (f file) fields(n *yaml.Node, what string, do func(key string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return &Error{f.name, n.Line, what + " is no list of fields"}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			return &Error{f.name, k.Line, "the name of a field is no text"}
		case v.Kind == yaml.AliasNode || k.Tag == "!!merge" || k.Value == "<<":
			return &Error{f.name, v.Line, "aliases (*name) are not taken; write out what they stand for"}
		case seen[k.Value]:
			return &Error{f.name, k.Line, fmt.Sprintf("%q stands twice", shortened(k.Value))}
		}
		seen[k.Value] = true
		if err := do(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

// items calls do with each item of a list; nothing is an empty one.
func (f file) items(n *yaml.Node, what string, do func(*yaml.Node) error) error {
	if empty(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return &Error{f.name, n.Line, what + " is no list"}
	}
	for _, item := range n.Content {
		if item.Kind == yaml.AliasNode {
			return &Error{f.name, item.Line, "aliases (*name) are not taken; write out what they stand for"}
		}
		if err := do(item); err != nil {
			return err
		}
	}
	return nil
}

// texts reads a list of texts, or one text.
func (f file) texts(n *yaml.Node, what string) (list []string, err error) {
	if n.Kind == yaml.ScalarNode {
		if !empty(n) {
			list = append(list, n.Value)
		}
		return list, nil
	}
	err = f.items(n, what, func(n *yaml.Node) error {
		text, err := f.text(n, what)
		list = append(list, text)
		return err
	})
	return list, err
}

func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Value == "")
}

func (f file) text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", &Error{f.name, n.Line, what + " is no text"}
	}
	if empty(n) {
		return "", nil
	}
	return n.Value, nil
}

func (f file) yes(n *yaml.Node, what string) (bool, error) {
	if empty(n) {
		return false, nil
	}
	var v bool
	if n.Kind != yaml.ScalarNode || n.Decode(&v) != nil {
		return false, &Error{f.name, n.Line, what + " is neither true nor false"}
	}
	return v, nil
}

func (f file) number(n *yaml.Node, what string, most uint64) (uint64, error) {
	if empty(n) {
		return 0, nil
	}
	v, err := strconv.ParseUint(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v > most {
		return 0, &Error{f.name, n.Line, what + " is no such number"}
	}
	return v, nil
}
