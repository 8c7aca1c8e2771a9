// Package deploy checks what lies in the folder deploy with the tools that it is for: Helm,
// the reader of Docker's compose files, the reader of Dockerfiles, and systemd-analyze. It
// is a module of its own, because those bring much with them.
package deploy
