// The conversation that is open: its messages, what is being answered, and what a person does to
// it. Every message is kept by the server before the next step; an answer is kept when it begins,
// every few seconds while it comes, and when it ends.
//
// Invariants: (1) at most one answer comes at a time; (2) messages are never changed in place, so
// that what shows them sees the change; (3) after open() or startNew() nothing of the conversation
// before is changed any more.
import {streamAnswer} from "../api/answer";
import {addMessage, changeConversation, changeMessage, createConversation, deleteMessage, readConversation} from "../api/conversations";
import type {Attachment, ChatSettings, Message, MessageMeta} from "../api/types";
import {catalogue} from "../lib/catalogue.svelte";
import {defaults} from "../lib/defaults.svelte";
import {notices} from "../lib/notices.svelte";
import {blocksOf, type Block} from "../markdown/blocks";
import {history} from "./history.svelte";
import {LiveAnswer} from "./live_answer.svelte";
import {answerRequest, titleOf} from "./prompt";
import {MessageTree} from "./tree";

const KEEP_SECONDS = 4;

export class OpenConversation {
    id = $state<string | null>(null);
    title = $state("");
    settings = $state.raw<ChatSettings>({});
    live = $state.raw<LiveAnswer | null>(null);
    opening = $state(false);
    #asking = $state(false);
    drawn = $state(0); // grows with every piece that is drawn: whoever follows the end looks here
    #messages = $state.raw<Message[]>([]);
    readonly tree = $derived(new MessageTree(this.#messages));
    readonly path = $derived(this.tree.path(this.settings.leaf));
    readonly model = $derived(catalogue.preferred(this.settings.model));

    #turn = 0; // counts what was opened
    #abort: AbortController | null = null;
    #finished: Promise<void> = Promise.resolve();
    #saved: Promise<void> = Promise.resolve();
    readonly #blocks = new WeakMap<Message, Block[]>();

    // From the question on, not only from the first piece of its answer.
    get busy(): boolean {
        return this.#asking || this.live !== null;
    }

    // The blocks of a message, read once.
    blocks(message: Message): Block[] {
        let blocks = this.#blocks.get(message);
        if (!blocks) this.#blocks.set(message, blocks = blocksOf(message.content));
        return blocks;
    }

    async open(id: string): Promise<void> {
        if (id === this.id) return;
        const turn = ++this.#turn;
        await this.stop();
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

    async startNew(): Promise<void> {
        this.#turn++;
        this.opening = false;
        await this.stop();
        this.id = null;
        this.title = "";
        this.settings = {...defaults.chat};
        this.#messages = [];
    }

    // Ends the answer that is coming; what there is of it stays.
    async stop(): Promise<void> {
        this.#abort?.abort();
        await this.#finished;
    }

    async send(content: string, attachments: Attachment[]): Promise<void> {
        await this.#ask(this.path.at(-1)?.id ?? null, content, attachments);
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
    }

    async #ask(parent: string | null, content: string, attachments: Attachment[]): Promise<void> {
        await this.stop();
        this.#asking = true;
        try {
            if (this.id === null) await this.#create(titleOf(content) || attachments[0]?.name || "…");
            const question = await this.#add({
                parent, role: "user", content, ...(attachments.length > 0 ? {attachments} : {}),
            });
            await this.#answer(question.id);
        } finally {
            this.#asking = false;
        }
    }

    async #create(title: string): Promise<void> {
        const created = await createConversation(title, this.settings);
        this.id = created.id;
        this.title = title;
    }

    async #add(message: Omit<Message, "id">): Promise<Message> {
        const id = this.id;
        if (id === null) throw new Error("no conversation is open");
        const kept: Message = {...message, ...await addMessage(id, message)};
        if (this.id !== id) return kept;
        this.#messages = [...this.#messages, kept];
        this.change({leaf: kept.id});
        const now = new Date().toISOString();
        history.touch({id, title: this.title, created: now, updated: now});
        return kept;
    }

    async #answer(parent: string): Promise<void> {
        const model = this.model?.name;
        if (model === undefined) throw new Error("no model");
        const meta: MessageMeta = {model, ...(this.settings.adapter ? {adapter: this.settings.adapter} : {})};
        const path = this.tree.path(parent);
        const message = await this.#add({parent, role: "assistant", content: "", meta});
        const live = new LiveAnswer(message.id, () => { this.drawn++; });
        this.live = live;
        this.#abort = new AbortController();
        this.#finished = this.#stream(message, live, path, model, this.#abort);
        await this.#finished;
    }

    async #stream(message: Message, live: LiveAnswer, path: Message[], model: string, abort: AbortController): Promise<void> {
        const id = this.id ?? "";
        const failed: MessageMeta = {};
        let kept = performance.now(), keeping: Promise<unknown> = Promise.resolve();
        try {
            for await (const event of streamAnswer(answerRequest(this.settings, model, path), abort.signal)) {
                live.take(event);
                if (performance.now() - kept < KEEP_SECONDS * 1000) continue;
                kept = performance.now();
                const {text: content, fullReasoning: reasoning} = live;
                keeping = changeMessage(id, message.id, {content, reasoning}).catch(() => undefined);
            }
        } catch (reason) {
            if (abort.signal.aborted) failed.finish = "stopped";
            else failed.error = reason instanceof Error ? reason.message : String(reason);
        }
        const meta = {...message.meta, ...live.finish(), ...failed};
        await keeping; // so that the last state is written last
        await this.#keep(id, {...message, content: live.text, reasoning: live.fullReasoning, meta}, live);
    }

    async #keep(id: string, message: Message, live: LiveAnswer): Promise<void> {
        this.#blocks.set(message, live.blocks);
        this.#messages = this.#messages.map((m) => (m.id === message.id ? message : m));
        this.live = null;
        const {content, reasoning, meta} = message;
        const change = {content, reasoning: reasoning ?? "", meta: meta ?? {}};
        try {
            await changeMessage(id, message.id, change, content.length < 50_000); // keepalive bodies are limited
        } catch (reason) {
            notices.error(reason);
        }
    }
}

export const conversation = new OpenConversation();
