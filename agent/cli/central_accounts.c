#include "cli/central_accounts.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "central/auth_file.h"

/* -- adding and removing -- */

struct change {
	bool add;
	struct access_entry entry;
};

static int
apply(void *ctx, struct access *a)
{
	const struct change *c = ctx;

	return c->add ? access_add(a, &c->entry)
		      : access_remove(a, c->entry.kind, text_of(c->entry.name));
}

static int
change(struct cli *cli, struct change *c)
{
	const char *kind = access_kind_name(c->entry.kind), *dir = cli->conf->central_data_dir;
	int err = access_change(dir, apply, c);

	switch (-err) {
	case 0:
		return CLI_OK;
	case EEXIST:
		return cli_fail(cli, "there is a %s %s already; remove it first", kind,
				c->entry.name);
	case ENOENT:
		return cli_fail(cli, "there is no %s %s", kind, c->entry.name);
	case ENOSPC:
		return cli_fail(cli,
				"%s: no room: at most %d accounts, and a disk that is not full",
				dir, ACCESS_MAX);
	case EBADMSG:
		return cli_fail(cli, "%s/access: not a file of accounts", dir);
	case EPERM:
		return cli_fail(cli, "%s/access: others can read it; make it mode 0600", dir);
	default:
		return cli_fail(cli, "%s/access: %s", dir, strerror(-err));
	}
}

/* Node names as the agent's node.name: no capitals. */
static bool
take_name(struct cli *cli, enum access_kind kind, struct change *c)
{
	const char *name = cli->arg[0];

	c->entry.kind = kind;
	if (event_name_valid(text_of(name)) &&
	    (kind != ACCESS_NODE || !strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))) {
		memcpy(c->entry.name, name, strlen(name) + 1);
		return true;
	}
	cli_fail(cli, "%s: a name must be 1 to 64 of %sa-z 0-9 _ - .", name,
		 kind == ACCESS_NODE ? "" : "A-Z ");
	return false;
}

static int
add_with_token(struct cli *cli, enum access_kind kind)
{
	struct change c = {.add = true, .entry.created_ms = wall_now().ms};
	char token[ACCESS_TOKEN_TEXT];
	int code;

	if (!take_name(cli, kind, &c))
		return CLI_FAILED;
	access_make_token(token, c.entry.secret);
	code = change(cli, &c);
	if (code == CLI_OK)
		printf("%s\n", token);
	sodium_memzero(token, sizeof(token));
	return code;
}

static int
remove_account(struct cli *cli, enum access_kind kind)
{
	struct change c = {.add = false};

	if (!cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	return take_name(cli, kind, &c) ? change(cli, &c) : CLI_FAILED;
}

static int
list_accounts(struct cli *cli, enum access_kind kind)
{
	struct access a;
	char since[WALL_TEXT];
	size_t i;
	int err;

	if (!cli_args_are(cli, 0, 0))
		return cli_usage(cli);
	err = access_read(cli->conf->central_data_dir, &a);
	if (err)
		return cli_fail(cli, "%s/access: %s", cli->conf->central_data_dir, strerror(-err));
	for (i = 0; i < a.n; i++) {
		if (a.entry[i].kind != kind)
			continue;
		wall_format((struct wall_ms){a.entry[i].created_ms}, since);
		printf("%s\t%s\n", a.entry[i].name, since);
	}
	access_free(&a);
	return CLI_OK;
}

/* -- passwords -- */

static bool
set_echo(bool on)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &t) < 0)
		return false;
	t.c_lflag = on ? t.c_lflag | ECHO : t.c_lflag & ~(tcflag_t)ECHO;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) == 0;
}

/* One line of standard input without its end; asks for it, unseen, on a terminal. */
static bool
read_line(const char *prompt, char *line, size_t size)
{
	bool tty = isatty(STDIN_FILENO), got;
	size_t len;

	if (tty) {
		fputs(prompt, stderr);
		set_echo(false);
	}
	got = fgets(line, (int)size, stdin);
	if (tty) {
		set_echo(true);
		fputc('\n', stderr);
	}
	if (!got)
		return false;
	len = strcspn(line, "\n");
	got = line[len] == '\n' || feof(stdin); /* else it is too long */
	line[len] = '\0';
	return got;
}

static int
read_password(struct cli *cli, char password[ACCESS_PASSWORD_MAX + 2])
{
	char again[ACCESS_PASSWORD_MAX + 2];
	bool same = true;

	if (!read_line("Password: ", password, ACCESS_PASSWORD_MAX + 2))
		return cli_fail(cli, "no password on standard input, or one of more than %d bytes",
				ACCESS_PASSWORD_MAX);
	if (isatty(STDIN_FILENO))
		same = read_line("Again: ", again, sizeof(again)) && strcmp(password, again) == 0;
	sodium_memzero(again, sizeof(again));
	if (!same)
		return cli_fail(cli, "the two differ");
	if (strlen(password) < ACCESS_PASSWORD_MIN)
		return cli_fail(cli, "a password needs at least %d characters",
				ACCESS_PASSWORD_MIN);
	return CLI_OK;
}

/* -- commands -- */

int
central_node_add(struct cli *cli)
{
	return cli_args_are(cli, 1, 1) ? add_with_token(cli, ACCESS_NODE) : cli_usage(cli);
}

int
central_node_list(struct cli *cli)
{
	return list_accounts(cli, ACCESS_NODE);
}

int
central_node_remove(struct cli *cli)
{
	return remove_account(cli, ACCESS_NODE);
}

int
central_user_add(struct cli *cli)
{
	struct change c = {.add = true, .entry.created_ms = wall_now().ms};
	char password[ACCESS_PASSWORD_MAX + 2];
	int code = CLI_FAILED, err;

	if (!cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (!take_name(cli, ACCESS_USER, &c))
		return CLI_FAILED;
	if (read_password(cli, password) == CLI_OK) {
		err = access_hash_password(text_of(password), c.entry.secret);
		code = err ? cli_fail(cli, "cannot hash the password: %s", strerror(-err))
			   : change(cli, &c);
	}
	sodium_memzero(password, sizeof(password));
	return code;
}

int
central_user_list(struct cli *cli)
{
	return list_accounts(cli, ACCESS_USER);
}

int
central_user_remove(struct cli *cli)
{
	return remove_account(cli, ACCESS_USER);
}

int
central_token_add(struct cli *cli)
{
	bool bad = false;
	const char *scope = cli_take_value(cli, "--scope", &bad);

	if (bad || !cli_args_are(cli, 1, 1))
		return cli_usage(cli);
	if (!scope || strcmp(scope, "read") != 0)
		return cli_fail(cli, "--scope: must be read");
	return add_with_token(cli, ACCESS_TOKEN);
}

int
central_token_list(struct cli *cli)
{
	return list_accounts(cli, ACCESS_TOKEN);
}

int
central_token_remove(struct cli *cli)
{
	return remove_account(cli, ACCESS_TOKEN);
}
