package api

// AdminReasons are the reasons of the problems that docs/api.md explains.
func AdminReasons() []string {
	list := []string{"lockout", "organization", "policy", "campaign", "query", "address"}
	for _, e := range []*wordedError{errKey, errKeyInURL, errNoRole, errConfigured} {
		list = append(list, e.reason)
	}
	for _, t := range adminTexts {
		list = append(list, t.reason)
	}
	return list
}

// AdminDocs is where they are explained.
const AdminDocs = adminDocs
