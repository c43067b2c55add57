// The conversation that is open: its messages, and what a person does to it. Every message is kept
// by the server before the next step; answering.svelte.ts keeps answers.
//
// Invariants: (1) answers come to one question at a time, one or two side by side; (2) messages are
// never changed in place, so that what shows them sees the change; (3) after open() or startNew()
// nothing of the conversation before is changed here any more.
import {addMessage, changeConversation, createConversation, deleteMessage, readConversation} from "../api/conversations";
import {ApiError} from "../api/http";
import type {Attachment, ChatSettings, Choice, Message} from "../api/types";
import {t} from "../i18n/text.svelte";
import {catalogue} from "../lib/catalogue.svelte";
import {defaults} from "../lib/defaults.svelte";
import {notices} from "../lib/notices.svelte";
import {route} from "../lib/route.svelte";
import {blocksOf, type Block} from "../markdown/blocks";
import {answers, type Answering} from "./answering.svelte";
import {history} from "./history.svelte";
import type {LiveAnswer} from "./live_answer.svelte";
import {otherWindows} from "./other_windows.svelte";
import {titleOf} from "./prompt";
import {MessageTree} from "./tree";

export class OpenConversation {
    id = $state<string | null>(null);
    title = $state("");
    settings = $state.raw<ChatSettings>({});
    opening = $state(false);
    #asking = $state(false);
    drawn = $state(0); // grows with every piece that is drawn: whoever follows the end looks here
    asked = $state(0); // grows with every question
    #messages = $state.raw<Message[]>([]);
    readonly tree = $derived(new MessageTree(this.#messages));
    readonly path = $derived(this.tree.path(this.settings.leaf));
    readonly model = $derived(catalogue.preferred(this.settings.model));

    #turn = 0; // counts what was opened
    #saved: Promise<void> = Promise.resolve();
    readonly #blocks = new WeakMap<Message, Block[]>();

    constructor() {
        otherWindows.onChange = (id) => {
            history.refresh().catch((e) => notices.error(e));
            if (id === this.id) this.reload().catch((e) => this.#lost(e));
        };
    }

    // Deleted in another window.
    #lost(reason: unknown): void {
        if (!(reason instanceof ApiError && reason.status === 404)) notices.error(reason);
        else {
            this.startNew();
            if (route.current.page === "chat") route.replace("chat", null);
        }
    }

    // From the question on, not only from the first piece of its answer.
    get busy(): boolean {
        return this.#asking || answers.of(this.id).length > 0;
    }

    // The answer as it comes, while it does.
    live(message: Message): LiveAnswer | null {
        return answers.of(this.id).find((a) => a.live.id === message.id)?.live ?? null;
    }

    // The blocks of a message, read once.
    blocks(message: Message): Block[] {
        let blocks = this.#blocks.get(message);
        if (!blocks) this.#blocks.set(message, blocks = blocksOf(message.content));
        return blocks;
    }

    async open(id: string): Promise<void> {
        if (id === this.id) return;
        const turn = this.#leave();
        this.opening = true;
        try {
            const conversation = await readConversation(id);
            if (turn !== this.#turn) return; // another was asked for meanwhile
            this.id = conversation.id;
            this.title = conversation.title;
            this.settings = conversation.settings ?? {};
            this.#messages = conversation.messages;
        } finally {
            if (turn === this.#turn) this.opening = false;
        }
    }

    // What another window changed. The branch that is shown stays, and grows with it.
    async reload(): Promise<void> {
        const {id} = this, turn = this.#turn;
        if (id === null || this.busy) return;
        const {messages, settings, title} = await readConversation(id);
        if (turn !== this.#turn || this.busy) return;
        const {leaf} = this.settings, tree = new MessageTree(messages);
        const grown = !leaf || !tree.get(leaf) || tree.path(settings.leaf).some((m) => m.id === leaf);
        this.title = title;
        this.settings = grown || !leaf ? settings : {...settings, leaf};
        this.#messages = messages;
    }

    startNew(): void {
        this.#leave();
        this.opening = false;
        this.id = null;
        this.title = "";
        this.settings = {...defaults.chat};
        this.#messages = [];
    }

    #leave(): number {
        this.#asking = false;
        return ++this.#turn;
    }

    // Ends the answers that are coming; what there is of them stays.
    async stop(): Promise<void> {
        await answers.stop(this.id);
    }

    async send(content: string, attachments: Attachment[]): Promise<void> {
        await this.#ask(this.path.at(-1)?.id ?? null, content, attachments);
    }

    // What the tools gave that this answer called: the model goes on from there.
    async sendResults(answer: Message, results: string[]): Promise<void> {
        await this.stop();
        let parent = answer.id;
        for (const [i, content] of results.entries()) {
            const meta = {tool_call_id: answer.meta?.tool_calls?.[i]?.id ?? ""};
            parent = (await this.#add({parent, role: "tool", content, meta})).id;
        }
        await this.#answer(parent);
    }

    // Another answer to the same question, beside the first.
    async regenerate(answer: Message): Promise<void> {
        await this.stop();
        if (answer.parent !== null) await this.#answer(answer.parent);
    }

    // A changed question is asked anew; a changed answer stands beside the first.
    async edit(message: Message, content: string): Promise<void> {
        await this.stop();
        if (message.role === "user") await this.#ask(message.parent, content, message.attachments ?? []);
        else await this.#add({parent: message.parent, role: message.role, content, meta: {}});
    }

    async remove(message: Message): Promise<void> {
        await this.stop();
        if (this.id === null) return;
        await deleteMessage(this.id, message.id);
        const gone = new Set([message.id]);
        for (let grown = -1; grown !== gone.size;) {
            grown = gone.size;
            for (const m of this.#messages) if (m.parent !== null && gone.has(m.parent)) gone.add(m.id);
        }
        this.#messages = this.#messages.filter((m) => !gone.has(m.id));
        otherWindows.changed(this.id);
        const left = this.tree.siblings(message).at(-1)?.id ?? message.parent;
        this.show(left);
    }

    // Shows the branch that this message is on.
    show(message: string | null): void {
        const leaf = this.tree.newestLeaf(message);
        this.change(leaf === null ? {} : {leaf});
    }

    change(settings: Partial<ChatSettings>): void {
        this.settings = {...this.settings, ...settings};
        const {id, settings: kept} = this;
        if (id === null) return;
        const save = () => changeConversation(id, {settings: kept}).then(() => undefined, (e) => notices.error(e));
        this.#saved = this.#saved.then(save); // one after the other, so that the last one stays
    }

    async rename(title: string): Promise<void> {
        if (this.id === null || title.trim() === "") return;
        await changeConversation(this.id, {title});
        this.title = title;
        history.rename(this.id, title);
        otherWindows.changed(this.id);
    }

    async #ask(parent: string | null, content: string, attachments: Attachment[]): Promise<void> {
        await this.stop();
        this.#asking = true;
        this.asked++;
        const turn = this.#turn;
        try {
            if (this.id === null) await this.#create(titleOf(content) || attachments[0]?.name || "…");
            const question = await this.#add({
                parent, role: "user", content, ...(attachments.length > 0 ? {attachments} : {}),
            });
            if (turn === this.#turn) await this.#answer(question.id);
        } finally {
            if (turn === this.#turn) this.#asking = false;
        }
    }

    async #create(title: string): Promise<void> {
        const turn = this.#turn, created = await createConversation(title, this.settings);
        if (turn !== this.#turn) return;
        this.id = created.id;
        this.title = title;
    }

    async #add(message: Omit<Message, "id">): Promise<Message> {
        const id = this.id;
        if (id === null) throw new Error("no conversation is open");
        const kept: Message = {...message, ...await addMessage(id, message)};
        otherWindows.changed(id);
        if (this.id !== id) return kept;
        this.#messages = [...this.#messages, kept];
        this.change({leaf: kept.id});
        const now = new Date().toISOString();
        history.touch({id, title: this.title, created: now, updated: now});
        return kept;
    }

    // One answer, or two side by side: that of the model chosen, and of the one beside it.
    async #answer(parent: string): Promise<void> {
        const path = this.tree.path(parent), {beside} = this.settings;
        const pair = beside ? {pair: Date.now().toString(36)} : {};
        const coming = [await this.#begin(path, this.settings, pair)];
        if (beside) {
            const leaf = this.settings.leaf ?? "";
            coming.push(await this.#begin(path, beside, pair));
            this.change({leaf}); // the first is the one that the conversation goes on from
        }
        await Promise.all(coming.map((answer) => this.#take(answer)));
    }

    async #begin(path: Message[], choice: Choice, pair: {pair?: string}): Promise<Answering> {
        const model = catalogue.preferred(choice.model);
        if (!model || this.id === null) throw new Error(t("chat.nomodel"));
        const {adapter = "", scale = 1} = choice;
        const settings = {...this.settings, adapter, scale}, conversation = this.id;
        const meta = {
            model: model.name, finish: "interrupted", // until it ends in another way
            ...(adapter === "" ? {} : {adapter}), ...pair, ...(settings.format ? {format: settings.format} : {}),
        };
        const message = await this.#add({parent: path.at(-1)?.id ?? null, role: "assistant", content: "", meta});
        return answers.start({conversation, message, path, settings, model}, () => { this.drawn++; });
    }

    async #take(answer: Answering): Promise<void> {
        const message = await answer.ended;
        this.#blocks.set(message, answer.live.blocks);
        if (this.id === answer.asked.conversation) this.#messages = this.#messages.map((m) => (m.id === message.id ? message : m));
    }
}

export const conversation = new OpenConversation();
