#include "base/privileges.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PASSWD_MAX \
	16384 /* an entry with its strings; longest seen from directory services is 4 KiB */
#define CAPABILITIES_MAX 64

__attribute__((format(printf, 3, 4))) static int
fault(char ret_fault[PRIVILEGES_FAULT_MAX], int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(ret_fault, PRIVILEGES_FAULT_MAX, format, args);
	va_end(args);
	return err;
}

void
privileges_never_gain(void)
{
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

bool
privileges_are_root(void)
{
	return geteuid() == 0;
}

/* -- capabilities -- */

/* As long as this thread may: what is out of the bounding set cannot come back with an exec. */
static void
empty_bounding_set(void)
{
	unsigned long c;

	for (c = 0; c < CAPABILITIES_MAX; c++)
		(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}

/* 1 when there are any, 0, or -errno. */
static int
has_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct set[_LINUX_CAPABILITY_U32S_3] = {{0}};
	uint32_t all = 0;
	unsigned i;

	if (syscall(SYS_capget, &header, set) < 0)
		return -errno;
	for (i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		all |= set[i].effective | set[i].permitted | set[i].inheritable;
	return all != 0;
}

/* Only where there are any: systemd's filters refuse the call as such (~@privileged). Ambient ones
 * end with the inheritable ones. */
static int
give_up_capabilities(char ret_fault[PRIVILEGES_FAULT_MAX])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	int has = has_capabilities();

	if (has > 0)
		has = syscall(SYS_capset, &header, none) < 0 ? -errno : has_capabilities();
	if (has == 0)
		return 0;
	return fault(ret_fault, has < 0 ? has : -EPERM, "capabilities cannot be given up: %s",
		     has < 0 ? strerror(-has) : "some remain");
}

/* -- the user -- */

struct user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

static int
find_user(const char *name, struct user *ret_user, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	char strings[PASSWD_MAX];
	struct passwd entry, *found = NULL;
	int err = getpwnam_r(name, &entry, strings, sizeof(strings), &found);

	if (!found)
		return fault(ret_fault, err ? -err : -ENOENT, "there is no user \"%.64s\"%s%s",
			     name, err ? ": " : "", err ? strerror(err) : "");
	if (entry.pw_uid == 0 || entry.pw_gid == 0)
		return fault(ret_fault, -EINVAL, "user \"%.64s\" is root, or of root's group",
			     name);
	*ret_user = (struct user){name, entry.pw_uid, entry.pw_gid};
	return 0;
}

static int
become(const struct user *u, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	empty_bounding_set();
	if (initgroups(u->name, u->gid) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
	    setresuid(u->uid, u->uid, u->uid) < 0)
		return fault(ret_fault, -errno, "cannot become user \"%.64s\": %s", u->name,
			     strerror(errno));
	return 0;
}

static int
prove(const struct user *u, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	uid_t uid[3];
	gid_t gid[3];
	int i;

	if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 || getresgid(&gid[0], &gid[1], &gid[2]) < 0)
		return fault(ret_fault, -errno, "who this is cannot be read: %s", strerror(errno));
	for (i = 0; i < 3; i++)
		if (uid[i] != u->uid || gid[i] != u->gid)
			return fault(ret_fault, -EPERM, "not wholly user \"%.64s\"", u->name);
	if (setuid(0) == 0 || setgid(0) == 0)
		return fault(ret_fault, -EPERM, "root could be had back");
	return 0;
}

/* -- its directory -- */

/* Not through a link: the parent may be somebody else's. Only the last name is made, since parents
 * of root's with mode 0700 would keep the user out. */
static int
make_dir_for(const struct user *u, const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	int fd, err = 0;

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0
				       : fault(ret_fault, -errno, "cannot make %.256s: %s", dir,
					       strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, u->uid, u->gid) < 0)
		err = fault(ret_fault, -errno, "cannot give %.256s to user \"%.64s\": %s", dir,
			    u->name, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

static int
check_owner(const struct user *u, const struct stat *st, const char *dir, const char *name,
	    char ret_fault[PRIVILEGES_FAULT_MAX])
{
	if (st->st_uid == u->uid)
		return 0;
	return fault(
	    ret_fault, -EPERM,
	    "%.128s%s%.64s belongs to user id %u and not to \"%.64s\"; put that right with: "
	    "chown -R %.64s: %.128s",
	    dir, name[0] ? "/" : "", name, (unsigned)st->st_uid, u->name, u->name, dir);
}

/* What stands directly in it shows whether somebody else has used it. */
static int
check_entries(const struct user *u, DIR *d, const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	const struct dirent *entry;
	struct stat st;
	int err = 0;

	while (!err &&
	       (entry = readdir(d))) /* NOLINT(concurrency-mt-unsafe): a stream of our own */
		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			err = check_owner(u, &st, dir, entry->d_name, ret_fault);
	return err;
}

static int
check_dir(const struct user *u, const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	struct stat st;
	DIR *d;
	int err;

	if (stat(dir, &st) < 0)
		return errno == ENOENT
			   ? 0 /* whoever needs it makes it, or says why not */
			   : fault(ret_fault, -errno, "%.256s: %s", dir, strerror(errno));
	err = check_owner(u, &st, dir, "", ret_fault);
	if (err)
		return err;
	d = opendir(dir);
	if (!d)
		return fault(ret_fault, -errno, "%.256s: %s", dir, strerror(errno));
	err = check_entries(u, d, dir, ret_fault);
	closedir(d);
	return err;
}

/* For good, once root has made what is root's to make. */
static int
stay(const struct user *u, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	int err = 0;

	if (privileges_are_root()) {
		err = become(u, ret_fault);
		if (!err)
			err = prove(u, ret_fault);
	}
	return err ? err : give_up_capabilities(ret_fault);
}

int
privileges_drop(const char *user, const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	struct user u = {user, (uid_t)-1, (gid_t)-1};
	int err;

	if (user[0] == '\0')
		return privileges_are_root() ? 0 : give_up_capabilities(ret_fault);
	err = find_user(user, &u, ret_fault);
	if (err)
		return err;
	if (!privileges_are_root() && geteuid() != u.uid)
		return fault(ret_fault, -EPERM,
			     "only root can become user \"%.64s\"; start as root, or as that user",
			     user);
	if (privileges_are_root())
		err = make_dir_for(&u, dir, ret_fault);
	if (!err)
		err = stay(&u, ret_fault);
	return err ? err : check_dir(&u, dir, ret_fault);
}

int
privileges_drop_to_owner(const char *dir, char ret_fault[PRIVILEGES_FAULT_MAX])
{
	char strings[PASSWD_MAX];
	struct passwd entry, *found = NULL;
	struct stat st;
	struct user u;
	int err;

	if (!privileges_are_root() || stat(dir, &st) < 0 || st.st_uid == 0)
		return 0;
	err = getpwuid_r(st.st_uid, &entry, strings, sizeof(strings), &found);
	if (!found)
		return fault(ret_fault, err ? -err : -ENOENT,
			     "%.256s belongs to user id %u, which has no name; start this as it",
			     dir, (unsigned)st.st_uid);
	u = (struct user){entry.pw_name, entry.pw_uid, entry.pw_gid};
	return stay(&u, ret_fault);
}

const char *
privileges_strerror(int err, char text[PRIVILEGES_ERROR_MAX])
{
	char strings[PASSWD_MAX];
	struct passwd entry, *found = NULL;

	if (err != -EACCES)
		return strerror(-err);
	(void)getpwuid_r(geteuid(), &entry, strings, sizeof(strings), &found);
	if (found)
		snprintf(text, PRIVILEGES_ERROR_MAX, "%s to user \"%.64s\"", strerror(-err),
			 entry.pw_name);
	else
		snprintf(text, PRIVILEGES_ERROR_MAX, "%s to user id %u", strerror(-err),
			 (unsigned)geteuid());
	return text;
}
