package record

import (
	"os"

	"golang.org/x/sys/unix"
)

// ownersFile lies beside the database. Each process locks the byte that its number
// names; the system unlocks it when the process dies, however it does. (Locks on
// the database itself are SQLite's, which loses them when anybody closes it.)
func ownersFile(path string) string { return path + "-owners" }

func ownerByte(id int64) *unix.Flock_t {
	return &unix.Flock_t{Type: unix.F_WRLCK, Start: id, Len: 1}
}

// lockOwner takes the lock, until the file is closed; nil: there are no locks here.
func lockOwner(path string, id int64) *os.File {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(ownersFile(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil
	}
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, ownerByte(id)) != nil {
		f.Close()
		return nil
	}
	return f
}

// ownerLives reports whether the process holds its lock, if that can be known.
func ownerLives(path string, id int64) (lives, known bool) {
	if path == "" {
		return false, false
	}
	f, err := os.OpenFile(ownersFile(path), os.O_RDWR, 0)
	if err != nil {
		return false, false
	}
	defer f.Close()
	lock := ownerByte(id)
	if unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, lock) != nil {
		return false, false
	}
	return lock.Type != unix.F_UNLCK, true
}
