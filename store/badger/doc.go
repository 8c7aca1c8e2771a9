// Package badger keeps everything in one folder on one machine, in an embedded
// Badger database. It is the default store, and the only importer of Badger.
//
// What it adds to Badger: records are sealed (package store); every change is on
// disk when its method returns; changes to one user wait for each other instead
// of failing; writes stop before the disk is full, because Badger's memory maps
// would take the whole process down; and damage is found instead of being
// answered as "not found", which is what Badger itself does with a damaged block.
//
// One process at a time can open a folder. A second Open waits two seconds and
// then says so.
//
// Beside the folder stands a marker file, FOLDER.initialized, which says that a
// store was made and how far it had come. A folder that is empty, incomplete or
// older than its marker is never opened: a store that lost its users must not
// look like a first start, whose visitor becomes the administrator. Both are
// backed up and restored together.
//
// # Rows
//
//	u/USER               record of a user
//	k/UNIQUE KEY         ID of the user who holds the key
//	n/NAME 00 USER       index of names, without content
//	f/FACET NAME 00 USER index of what holds of users (mfa.User.Facets): FACET are eight
//	                     bytes, a hash of it with a key of the store's own
//	t/TERM 00 USER       index of what users are found by (mfa.User.Terms)
//	g/GROUP SHARD        how many users of a group hold which factors, as a sum over shards
//	s/SESSION            record of a session, or the fact that it ended
//	x/USER 00 SESSION    index of a user's sessions, without content
//	c/CHALLENGE          a challenge, or the fact that it was taken
//	a/KEY                counters of attempts
//	o/ORGANIZATION       record of an organization
//	r/KEY                an API key
//	v/ORGANIZATION       a campaign
//	e/MOMENT             an event; see moment
//	i/NUMBER TIME        index of events by their number; holds the event's hash
//	y/USER 00 MOMENT     index of a user's events, without content
//	d/DECISION 00 MOMENT index of a decision's events, without content
//	m/events             how many events there ever were, and how their chain ends
//	m/events_start       where the chain begins, once events were forgotten
//	m/index              the version and the key of the index of users
//	m/filling            what is being copied into the store; gone when it is whole
//	m/anchor             how far the store has come
//
// Row names are not sealed: user names, addresses, the words of display names, the names
// of organizations, the keys of counters, and when something happened to which user ID,
// can be read by whoever can read the folder. What holds of a user cannot, first of all
// not who has no second factor.
//
// The rows f, t and g are made from the records of users in the same write, and anew from
// all of them when a store is opened that has none, or those of another version. Format 2
// of the anchor keeps programs away that would leave them behind.
package badger
