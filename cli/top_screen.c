// SPDX-License-Identifier: MIT
/*
 * top_screen.c - the screen of `hsavisor top`, by ncurses.
 *
 * One loop: take a sample, draw it, wait for keys until the next one is due. Signals only set
 * top_ended, so the way out is always through endwin(), which gives the terminal back as it was.
 * What cannot be caught (SIGKILL) leaves a terminal that `reset` mends. Texts of tenants are
 * printable by the daemon's care; ncurses shows anything else as a visible form.
 */
#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/top.h"

#define FIRST_S 0.3 /* until the first screen with rates */

struct screen {
	struct top_options *options;
	struct sample sample; /* the newest that came */
	int err;	      /* of the newest attempt */
	size_t scroll;	      /* rows above the screen */
	bool help;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void text_at(int y, int attributes, const char *text)
{
	move(y, 0);
	attrset((attr_t)attributes);
	addnstr(text, COLS);
	if ((attributes & A_REVERSE) && (int)strlen(text) < COLS)
		for (int x = (int)strlen(text); x < COLS; x++)
			addch(' ');
	attrset(A_NORMAL);
}

static void draw_help(void)
{
	char line[128];
	int y = 4;

	text_at(2, A_BOLD, "Keys");
	text_at(3, A_NORMAL, "  q  end      r  reverse      space  refresh now      arrows, "
			     "Page Up, Page Down, Home  scroll      h  this help");
	for (const struct sample_key *k = sample_keys; k->name; k++) {
		snprintf(line, sizeof(line), "  %c  sort by %s (%s)", k->key, k->name, k->heading);
		text_at(y++, A_NORMAL, line);
	}
	y++;
	text_at(y++, A_NORMAL, "GPU%     share of the time in which the tenant had the GPU");
	text_at(y++, A_NORMAL, "CORES    threads that ran its waves, on average");
	text_at(y++, A_NORMAL, "PACKETS  written to its queues and not yet done");
	text_at(y++, A_NORMAL, "FAULTS   memory faults and queue errors so far: hsavisor faults");
}

static void draw_rows(struct screen *s)
{
	size_t room = LINES > 4 ? (size_t)LINES - 4 : 0;
	char line[512];

	sample_heading(line, sizeof(line));
	text_at(2, A_REVERSE, line);
	if (s->sample.num_rows <= room)
		s->scroll = 0;
	else if (s->scroll > s->sample.num_rows - room)
		s->scroll = s->sample.num_rows - room;
	for (size_t i = 0; i < room && s->scroll + i < s->sample.num_rows; i++) {
		const struct sample_row *r = &s->sample.rows[s->scroll + i];

		sample_line(r, line, sizeof(line));
		text_at((int)i + 3, r->gpu_percent >= 0.05 ? A_BOLD : A_NORMAL, line);
	}
	if (!s->sample.num_rows)
		text_at(4, A_NORMAL, "No tenants: nobody shares the GPU now.");
}

static void draw(struct screen *s)
{
	char line[512];

	erase();
	if (s->err) {
		text_at(0, A_BOLD, top_trouble(s->err, line, sizeof(line)));
	} else {
		sample_summary(&s->sample, line, sizeof(line));
		text_at(0, A_NORMAL, line);
	}
	if (s->help)
		draw_help();
	else if (!s->err)
		draw_rows(s);
	snprintf(line, sizeof(line), "every %g s, by %s%s   q end   h help", s->options->delay_s,
		 s->options->key->name, s->options->reverse ? ", smallest first" : "");
	if (LINES > 1)
		text_at(LINES - 1, A_DIM, line);
	refresh();
}

static void resort(struct screen *s)
{
	if (s->sample.rows)
		sample_sort(&s->sample, s->options->key, s->options->reverse);
}

/* False: end. *now: take a sample at once. */
static bool on_key(struct screen *s, int key, bool *now)
{
	size_t page = LINES > 5 ? (size_t)LINES - 5 : 1;

	switch (key) {
	case 'q':
	case 'Q':
		return false;
	case ' ':
		*now = true;
		break;
	case 'h':
	case '?':
		s->help = !s->help;
		break;
	case 'r':
		s->options->reverse = !s->options->reverse;
		break;
	case KEY_UP:
		s->scroll -= s->scroll > 0;
		break;
	case KEY_DOWN:
		s->scroll++;
		break;
	case KEY_PPAGE:
		s->scroll -= s->scroll < page ? s->scroll : page;
		break;
	case KEY_NPAGE:
		s->scroll += page;
		break;
	case KEY_HOME:
		s->scroll = 0;
		break;
	default: /* KEY_RESIZE, too: drawn anew in any case */
		for (const struct sample_key *k = sample_keys; k->name; k++)
			if (k->key == key)
				s->options->key = k;
	}
	return true;
}

/* Until the next sample is due. False: end. */
static bool wait_for_keys(struct screen *s, double until)
{
	bool now = false;

	while (!now && !top_ended) {
		double left = until - now_s();
		int key;

		if (left <= 0)
			break;
		timeout(left < 0.2 ? (int)(left * 1000) + 1 : 200); /* top_ended is looked at */
		key = getch();
		if (key == ERR) {
			struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

			/* A terminal that went away is readable without end. */
			if (poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)))
				return false;
			continue;
		}
		if (!on_key(s, key, &now))
			return false;
		resort(s);
		draw(s);
	}
	return !top_ended;
}

static void take(struct screen *s)
{
	struct sample next;

	s->err = sample_take(&next, s->sample.rows ? &s->sample : NULL);
	sample_free(&s->sample);
	s->sample = next;
	resort(s);
}

int top_screen(struct top_options *o, struct sample *before)
{
	struct screen s = {.options = o, .sample = *before};
	SCREEN *terminal;
	double next = now_s() + (o->delay_s < FIRST_S ? o->delay_s : FIRST_S);

	setlocale(LC_ALL, "");
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return -1;
	set_term(terminal);
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	resort(&s);
	draw(&s);
	for (unsigned long n = 0; wait_for_keys(&s, next); ) {
		take(&s);
		draw(&s);
		if (o->count && ++n >= o->count)
			break;
		next = now_s() + o->delay_s;
	}
	endwin();
	delscreen(terminal);
	sample_free(&s.sample);
	return EXIT_OK;
}
