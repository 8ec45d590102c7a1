-- The tables of a sale, with their keys, indexes, checks, foreign keys and triggers: the shape in which the reference sale is sold.
--
-- Taken by pg_dump from a database that Encore's migrations had made, and kept as it was then: a floor that moved with the schema
-- could not be compared with that of an earlier result.

CREATE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
    BEGIN
        IF NOT pg_catalog.pg_has_role(current_user, (
            SELECT proowner FROM pg_catalog.pg_proc
            WHERE oid = 'public._pgtrigger_should_ignore(name)'::pg_catalog.regprocedure
        ), 'MEMBER') THEN
            RETURN FALSE;
        END IF;
        RETURN trigger_name = ANY(
            coalesce(nullif(pg_catalog.current_setting('pgtrigger.ignore', TRUE), ''), '{}')::TEXT[]
        );
    END;
    $$;

CREATE FUNCTION public.pgtrigger_accounted_37eaa() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

    IF NOT EXISTS (SELECT 1 FROM payments_ledgerentry WHERE transaction_id = NEW.id) THEN
        RAISE EXCEPTION 'Transaction % has no entries.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.balance_after - NEW.amount IS DISTINCT FROM (
        CASE NEW.number WHEN 1 THEN 0 ELSE (
            SELECT balance_after FROM payments_ledgertransaction
            WHERE customer_id = NEW.customer_id AND number = NEW.number - 1
        ) END
    ) THEN
        RAISE EXCEPTION 'Transaction % does not follow from the balance before it.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM payments_wallet
        WHERE customer_id = NEW.customer_id AND movements >= NEW.number
    ) THEN
        RAISE EXCEPTION 'Transaction % did not reach the wallet.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.type = 'REFUND' AND NOT EXISTS (
        SELECT 1 FROM payments_ledgertransaction
        WHERE type = 'PAYMENT' AND reference = NEW.reference
            AND customer_id = NEW.customer_id AND -amount >= NEW.amount
    ) THEN
        RAISE EXCEPTION 'Transaction % refunds what was not paid.', NEW.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;

                END;
            $$;

CREATE FUNCTION public.pgtrigger_append_only_94ee6() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

            RAISE EXCEPTION '% is append-only: % refused.', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';

                END;
            $$;

CREATE FUNCTION public.pgtrigger_append_only_9c7fe() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

            RAISE EXCEPTION '% is append-only: % refused.', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';

                END;
            $$;

CREATE FUNCTION public.pgtrigger_balanced_8f7fd() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

    IF EXISTS (
        SELECT 1
        FROM payments_ledgerentry entry
        JOIN payments_ledgertransaction booked ON booked.id = entry.transaction_id
        WHERE entry.transaction_id = NEW.transaction_id
        GROUP BY booked.id
        HAVING SUM(entry.amount) <> 0
            OR SUM(entry.amount) FILTER (WHERE entry.account = 'CUSTOMER_LIABILITY')
                IS DISTINCT FROM booked.amount
            OR BOOL_OR(entry.customer_id <> booked.customer_id)
            OR ARRAY_AGG(entry.account::TEXT ORDER BY entry.account = 'CUSTOMER_LIABILITY') <> ARRAY[
                CASE booked.type
                    WHEN 'CHARGE' THEN 'CASH' WHEN 'PAYMENT' THEN 'SALES_REVENUE'
                    WHEN 'REFUND' THEN 'REFUNDS' ELSE 'ADJUSTMENTS'
                END,
                'CUSTOMER_LIABILITY'
            ]
    ) THEN
        RAISE EXCEPTION 'The entries of transaction % do not balance.', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;

                END;
            $$;

CREATE FUNCTION public.pgtrigger_explained_72848() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

    IF EXISTS (
        SELECT 1
        FROM payments_wallet wallet
        LEFT JOIN LATERAL (
            SELECT number, balance_after FROM payments_ledgertransaction
            WHERE customer_id = wallet.customer_id
            ORDER BY number DESC LIMIT 1
        ) latest ON TRUE
        WHERE wallet.customer_id = NEW.customer_id
            AND (wallet.movements, wallet.balance)
                IS DISTINCT FROM (COALESCE(latest.number, 0), COALESCE(latest.balance_after, 0))
    ) THEN
        RAISE EXCEPTION 'The ledger does not explain the balance of customer %.', NEW.customer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;

                END;
            $$;

CREATE FUNCTION public.pgtrigger_kept_78944() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$

                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;

            RAISE EXCEPTION '% keeps its rows: % refused.', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';

                END;
            $$;

CREATE TABLE public.accounts_user (
    id bigint NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    email character varying(254) NOT NULL,
    name character varying(100) NOT NULL,
    is_active boolean NOT NULL,
    is_staff boolean NOT NULL,
    joined_at timestamp with time zone NOT NULL,
    CONSTRAINT user_email_lower_case CHECK (((email)::text = lower((email)::text)))
);

ALTER TABLE public.accounts_user ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.concerts_concert (
    id bigint NOT NULL,
    title character varying(200) NOT NULL,
    artist character varying(200) NOT NULL,
    venue character varying(200) NOT NULL,
    description text NOT NULL,
    sales_open_at timestamp with time zone NOT NULL,
    sales_close_at timestamp with time zone,
    seats_per_customer smallint NOT NULL,
    is_published boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT concert_is_named CHECK (((NOT ((title)::text = ''::text)) AND (NOT ((artist)::text = ''::text)) AND (NOT ((venue)::text = ''::text)))),
    CONSTRAINT concert_sales_close_after_they_open CHECK (((sales_close_at IS NULL) OR (sales_close_at > sales_open_at))),
    CONSTRAINT concert_seats_per_customer_1_to_10 CHECK (((seats_per_customer >= 1) AND (seats_per_customer <= 10))),
    CONSTRAINT concerts_concert_seats_per_customer_check CHECK ((seats_per_customer >= 0))
);

ALTER TABLE public.concerts_concert ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.concerts_concert_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.concerts_performance (
    id bigint NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    seat_map_version integer NOT NULL,
    sold_out_at timestamp with time zone,
    concert_id bigint NOT NULL,
    CONSTRAINT concerts_performance_seat_map_version_check CHECK ((seat_map_version >= 0))
);

ALTER TABLE public.concerts_performance ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.concerts_performance_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.concerts_seat (
    id bigint NOT NULL,
    section character varying(20) NOT NULL,
    "row" character varying(5) NOT NULL,
    number smallint NOT NULL,
    grade character varying(3) NOT NULL,
    price integer NOT NULL,
    x smallint NOT NULL,
    y smallint NOT NULL,
    is_blocked boolean NOT NULL,
    performance_id bigint NOT NULL,
    CONSTRAINT concerts_seat_number_check CHECK ((number >= 0)),
    CONSTRAINT concerts_seat_price_check CHECK ((price >= 0)),
    CONSTRAINT concerts_seat_x_check CHECK ((x >= 0)),
    CONSTRAINT concerts_seat_y_check CHECK ((y >= 0)),
    CONSTRAINT seat_grade_is_known CHECK (((grade)::text = ANY ((ARRAY['VIP'::character varying, 'R'::character varying, 'S'::character varying, 'A'::character varying])::text[]))),
    CONSTRAINT seat_has_price CHECK ((price >= 1)),
    CONSTRAINT seat_is_named CHECK (((NOT ((section)::text = ''::text)) AND (NOT (("row")::text = ''::text)) AND (number >= 1)))
);

ALTER TABLE public.concerts_seat ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.concerts_seat_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.payments_ledgerentry (
    id bigint NOT NULL,
    account character varying(20) NOT NULL,
    amount bigint NOT NULL,
    customer_id bigint,
    transaction_id uuid NOT NULL,
    CONSTRAINT ledger_entry_customer_fits_account CHECK (((((account)::text = 'CUSTOMER_LIABILITY'::text) AND (customer_id IS NOT NULL)) OR (((account)::text = ANY ((ARRAY['CASH'::character varying, 'SALES_REVENUE'::character varying, 'REFUNDS'::character varying, 'ADJUSTMENTS'::character varying])::text[])) AND (customer_id IS NULL)))),
    CONSTRAINT ledger_entry_moves_something CHECK ((NOT (amount = 0)))
);

ALTER TABLE public.payments_ledgerentry ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.payments_ledgerentry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.payments_ledgertransaction (
    id uuid NOT NULL,
    number bigint NOT NULL,
    type character varying(10) NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint NOT NULL,
    reference uuid,
    reason character varying(500) NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    adjusted_by_id bigint,
    customer_id bigint NOT NULL,
    CONSTRAINT ledger_adjustment_explained CHECK ((((adjusted_by_id IS NOT NULL) AND ((type)::text = 'ADJUSTMENT'::text) AND (NOT ((reason)::text = ''::text))) OR ((NOT ((type)::text = 'ADJUSTMENT'::text)) AND (adjusted_by_id IS NULL) AND ((reason)::text = ''::text)))),
    CONSTRAINT ledger_amount_fits_type CHECK ((((amount >= 1) AND (amount <= 1000000) AND ((type)::text = 'CHARGE'::text)) OR ((amount < 0) AND ((type)::text = 'PAYMENT'::text)) OR ((amount > 0) AND ((type)::text = 'REFUND'::text)) OR (((type)::text = 'ADJUSTMENT'::text) AND (NOT (amount = 0))))),
    CONSTRAINT ledger_balance_after_within_limit CHECK (((balance_after >= 0) AND ((balance_after <= 10000000) OR ((type)::text = 'REFUND'::text) OR (amount < 0)))),
    CONSTRAINT ledger_number_from_one CHECK ((number >= 1)),
    CONSTRAINT ledger_reference_fits_type CHECK ((((reference IS NOT NULL) AND ((type)::text = ANY ((ARRAY['PAYMENT'::character varying, 'REFUND'::character varying])::text[]))) OR ((reference IS NULL) AND ((type)::text = ANY ((ARRAY['CHARGE'::character varying, 'ADJUSTMENT'::character varying])::text[]))))),
    CONSTRAINT payments_ledgertransaction_number_check CHECK ((number >= 0))
);

CREATE TABLE public.payments_wallet (
    customer_id bigint NOT NULL,
    balance bigint NOT NULL,
    movements bigint NOT NULL,
    CONSTRAINT payments_wallet_movements_check CHECK ((movements >= 0)),
    CONSTRAINT wallet_balance_never_negative CHECK ((balance >= 0)),
    CONSTRAINT wallet_starts_empty CHECK (((movements > 0) OR (balance = 0)))
);

CREATE TABLE public.reservations_hold (
    id uuid NOT NULL,
    status character varying(10) DEFAULT 'HELD'::character varying NOT NULL,
    total_price integer NOT NULL,
    seat_limit smallint NOT NULL,
    queue_place bigint,
    queue_generation integer,
    held_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    customer_id bigint NOT NULL,
    performance_id bigint NOT NULL,
    CONSTRAINT hold_confirmed_before_it_expired CHECK (((NOT ((status)::text = 'CONFIRMED'::text)) OR (ended_at < expires_at))),
    CONSTRAINT hold_ended_has_time CHECK ((((ended_at IS NULL) AND ((status)::text = 'HELD'::text)) OR ((ended_at IS NOT NULL) AND ((status)::text = ANY ((ARRAY['CONFIRMED'::character varying, 'RELEASED'::character varying, 'EXPIRED'::character varying])::text[]))))),
    CONSTRAINT hold_expires_after_it_began CHECK ((expires_at > held_at)),
    CONSTRAINT reservations_hold_queue_generation_check CHECK ((queue_generation >= 0)),
    CONSTRAINT reservations_hold_seat_limit_check CHECK ((seat_limit >= 0)),
    CONSTRAINT reservations_hold_total_price_check CHECK ((total_price >= 0))
);

CREATE TABLE public.reservations_reservation (
    id uuid NOT NULL,
    status character varying(10) NOT NULL,
    total_price integer NOT NULL,
    reserved_at timestamp with time zone NOT NULL,
    cancelled_at timestamp with time zone,
    customer_id bigint NOT NULL,
    hold_id uuid NOT NULL,
    performance_id bigint NOT NULL,
    CONSTRAINT reservation_cancelled_has_time CHECK ((((cancelled_at IS NULL) AND ((status)::text = 'CONFIRMED'::text)) OR ((cancelled_at >= reserved_at) AND ((status)::text = 'CANCELLED'::text)))),
    CONSTRAINT reservations_reservation_total_price_check CHECK ((total_price >= 0))
);

CREATE TABLE public.reservations_seatclaim (
    id bigint NOT NULL,
    price integer NOT NULL,
    ended_at timestamp with time zone,
    hold_id uuid NOT NULL,
    performance_id bigint NOT NULL,
    seat_id bigint NOT NULL,
    CONSTRAINT reservations_seatclaim_price_check CHECK ((price >= 0))
);

ALTER TABLE public.reservations_seatclaim ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.reservations_seatclaim_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.reservations_ticket (
    id uuid NOT NULL,
    price integer NOT NULL,
    code character varying(16) NOT NULL,
    reservation_id uuid NOT NULL,
    seat_id bigint NOT NULL,
    CONSTRAINT reservations_ticket_price_check CHECK ((price >= 0))
);

CREATE TABLE public.shared_eventdelivery (
    id bigint NOT NULL,
    consumer character varying(50) NOT NULL,
    status character varying(10) NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    last_error text NOT NULL,
    done_at timestamp with time zone,
    event_id uuid NOT NULL,
    CONSTRAINT event_delivery_done_has_time CHECK ((((done_at IS NOT NULL) AND ((status)::text = 'DONE'::text)) OR ((NOT ((status)::text = 'DONE'::text)) AND (done_at IS NULL)))),
    CONSTRAINT shared_eventdelivery_attempts_check CHECK ((attempts >= 0))
);

ALTER TABLE public.shared_eventdelivery ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.shared_eventdelivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.shared_idempotencyrecord (
    id bigint NOT NULL,
    endpoint character varying(100) NOT NULL,
    key character varying(255) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    customer_id bigint NOT NULL,
    CONSTRAINT shared_idempotencyrecord_status_check CHECK ((status >= 0))
);

ALTER TABLE public.shared_idempotencyrecord ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.shared_idempotencyrecord_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.shared_outboxevent (
    id uuid NOT NULL,
    type character varying(100) NOT NULL,
    payload jsonb NOT NULL,
    occurred_at timestamp with time zone NOT NULL
);

ALTER TABLE ONLY public.accounts_user
    ADD CONSTRAINT accounts_user_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.concerts_concert
    ADD CONSTRAINT concerts_concert_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.concerts_performance
    ADD CONSTRAINT concerts_performance_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.concerts_seat
    ADD CONSTRAINT concerts_seat_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shared_eventdelivery
    ADD CONSTRAINT event_delivered_once UNIQUE (event_id, consumer);

ALTER TABLE ONLY public.shared_idempotencyrecord
    ADD CONSTRAINT idempotency_key_once UNIQUE (customer_id, endpoint, key);

ALTER TABLE ONLY public.payments_ledgertransaction
    ADD CONSTRAINT ledger_transaction_number_unique UNIQUE (customer_id, number);

ALTER TABLE ONLY public.payments_ledgerentry
    ADD CONSTRAINT payments_ledgerentry_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.payments_ledgertransaction
    ADD CONSTRAINT payments_ledgertransaction_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.payments_wallet
    ADD CONSTRAINT payments_wallet_pkey PRIMARY KEY (customer_id);

ALTER TABLE ONLY public.concerts_performance
    ADD CONSTRAINT performance_once_per_concert_and_time UNIQUE (concert_id, starts_at);

ALTER TABLE ONLY public.reservations_hold
    ADD CONSTRAINT reservations_hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reservations_reservation
    ADD CONSTRAINT reservations_reservation_hold_id_key UNIQUE (hold_id);

ALTER TABLE ONLY public.reservations_reservation
    ADD CONSTRAINT reservations_reservation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reservations_seatclaim
    ADD CONSTRAINT reservations_seatclaim_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reservations_ticket
    ADD CONSTRAINT reservations_ticket_code_key UNIQUE (code);

ALTER TABLE ONLY public.reservations_ticket
    ADD CONSTRAINT reservations_ticket_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reservations_seatclaim
    ADD CONSTRAINT seat_once_per_hold UNIQUE (hold_id, seat_id);

ALTER TABLE ONLY public.concerts_seat
    ADD CONSTRAINT seat_once_per_performance UNIQUE (performance_id, section, "row", number);

ALTER TABLE ONLY public.reservations_ticket
    ADD CONSTRAINT seat_once_per_reservation UNIQUE (reservation_id, seat_id);

ALTER TABLE ONLY public.shared_eventdelivery
    ADD CONSTRAINT shared_eventdelivery_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shared_idempotencyrecord
    ADD CONSTRAINT shared_idempotencyrecord_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.shared_outboxevent
    ADD CONSTRAINT shared_outboxevent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.accounts_user
    ADD CONSTRAINT user_email_unique UNIQUE (email);

CREATE INDEX event_delivery_dead ON public.shared_eventdelivery USING btree (consumer) WHERE ((status)::text = 'DEAD'::text);

CREATE INDEX event_delivery_pending ON public.shared_eventdelivery USING btree (consumer, next_attempt_at) WHERE ((status)::text = 'PENDING'::text);

CREATE INDEX hold_may_claim ON public.reservations_hold USING btree (performance_id) WHERE ((status)::text = ANY ((ARRAY['HELD'::character varying, 'CONFIRMED'::character varying])::text[]));

CREATE INDEX hold_of_customer ON public.reservations_hold USING btree (customer_id, performance_id);

CREATE INDEX hold_to_expire ON public.reservations_hold USING btree (expires_at) WHERE ((status)::text = 'HELD'::text);

CREATE INDEX ledger_adjusted_by ON public.payments_ledgertransaction USING btree (adjusted_by_id) WHERE (adjusted_by_id IS NOT NULL);

CREATE INDEX ledger_entry_of_customer ON public.payments_ledgerentry USING btree (customer_id) INCLUDE (amount) WHERE (customer_id IS NOT NULL);

CREATE INDEX ledger_newest_first ON public.payments_ledgertransaction USING btree (created_at DESC, id DESC);

CREATE UNIQUE INDEX ledger_one_payment_per_reference ON public.payments_ledgertransaction USING btree (reference) WHERE ((type)::text = 'PAYMENT'::text);

CREATE UNIQUE INDEX ledger_one_refund_per_reference ON public.payments_ledgertransaction USING btree (reference) WHERE ((type)::text = 'REFUND'::text);

CREATE INDEX payments_ledgerentry_transaction_id_0b930aa1 ON public.payments_ledgerentry USING btree (transaction_id);

CREATE INDEX performance_sold_out ON public.concerts_performance USING btree (concert_id) INCLUDE (sold_out_at) WHERE (NOT (sold_out_at IS NULL));

CREATE INDEX reservation_of_customer ON public.reservations_reservation USING btree (customer_id, reserved_at DESC);

CREATE INDEX reservations_reservation_performance_id_ecc42e3e ON public.reservations_reservation USING btree (performance_id);

CREATE INDEX reservations_ticket_code_de7cbf17_like ON public.reservations_ticket USING btree (code varchar_pattern_ops);

CREATE INDEX reservations_ticket_reservation_id_fb88e44b ON public.reservations_ticket USING btree (reservation_id);

CREATE INDEX reservations_ticket_seat_id_6144f974 ON public.reservations_ticket USING btree (seat_id);

CREATE UNIQUE INDEX seat_claimed_once ON public.reservations_seatclaim USING btree (seat_id) WHERE (ended_at IS NULL);

CREATE INDEX seat_claims_of_seat ON public.reservations_seatclaim USING btree (seat_id);

CREATE INDEX seat_claims_open ON public.reservations_seatclaim USING btree (performance_id) WHERE (ended_at IS NULL);

CREATE INDEX seat_price_range ON public.concerts_seat USING btree (performance_id, price);

CREATE INDEX shared_eventdelivery_event_id_468d169c ON public.shared_eventdelivery USING btree (event_id);

CREATE INDEX shared_idempotencyrecord_created_at_4a9288a5 ON public.shared_idempotencyrecord USING btree (created_at);

CREATE INDEX shared_outboxevent_occurred_at_b5f7ef50 ON public.shared_outboxevent USING btree (occurred_at);

CREATE CONSTRAINT TRIGGER pgtrigger_accounted_37eaa AFTER INSERT ON public.payments_ledgertransaction DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_accounted_37eaa();

CREATE TRIGGER pgtrigger_append_only_94ee6 BEFORE DELETE OR UPDATE OR TRUNCATE ON public.payments_ledgerentry FOR EACH STATEMENT EXECUTE FUNCTION public.pgtrigger_append_only_94ee6();

CREATE TRIGGER pgtrigger_append_only_9c7fe BEFORE DELETE OR UPDATE OR TRUNCATE ON public.payments_ledgertransaction FOR EACH STATEMENT EXECUTE FUNCTION public.pgtrigger_append_only_9c7fe();

CREATE CONSTRAINT TRIGGER pgtrigger_balanced_8f7fd AFTER INSERT ON public.payments_ledgerentry DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_balanced_8f7fd();

CREATE CONSTRAINT TRIGGER pgtrigger_explained_72848 AFTER INSERT OR UPDATE ON public.payments_wallet DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_explained_72848();

CREATE TRIGGER pgtrigger_kept_78944 BEFORE DELETE ON public.payments_wallet FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_kept_78944();

ALTER TABLE ONLY public.concerts_performance
    ADD CONSTRAINT concerts_performance_concert_id_ee5ba207_fk_concerts_concert_id FOREIGN KEY (concert_id) REFERENCES public.concerts_concert(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.concerts_seat
    ADD CONSTRAINT concerts_seat_performance_id_4e126f81_fk_concerts_ FOREIGN KEY (performance_id) REFERENCES public.concerts_performance(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments_ledgerentry
    ADD CONSTRAINT payments_ledgerentry_customer_id_83543237_fk_accounts_user_id FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments_ledgerentry
    ADD CONSTRAINT payments_ledgerentry_transaction_id_0b930aa1_fk_payments_ FOREIGN KEY (transaction_id) REFERENCES public.payments_ledgertransaction(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments_ledgertransaction
    ADD CONSTRAINT payments_ledgertrans_adjusted_by_id_e00b7b7d_fk_accounts_ FOREIGN KEY (adjusted_by_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments_ledgertransaction
    ADD CONSTRAINT payments_ledgertrans_customer_id_cec0757d_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.payments_wallet
    ADD CONSTRAINT payments_wallet_customer_id_9194ead1_fk_accounts_user_id FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_hold
    ADD CONSTRAINT reservations_hold_customer_id_26e7c6cd_fk_accounts_user_id FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_hold
    ADD CONSTRAINT reservations_hold_performance_id_4dc0633b_fk_concerts_ FOREIGN KEY (performance_id) REFERENCES public.concerts_performance(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_reservation
    ADD CONSTRAINT reservations_reserva_customer_id_9e54bd39_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_reservation
    ADD CONSTRAINT reservations_reserva_hold_id_49262968_fk_reservati FOREIGN KEY (hold_id) REFERENCES public.reservations_hold(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_reservation
    ADD CONSTRAINT reservations_reserva_performance_id_ecc42e3e_fk_concerts_ FOREIGN KEY (performance_id) REFERENCES public.concerts_performance(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_seatclaim
    ADD CONSTRAINT reservations_seatcla_performance_id_f884c28d_fk_concerts_ FOREIGN KEY (performance_id) REFERENCES public.concerts_performance(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_seatclaim
    ADD CONSTRAINT reservations_seatclaim_hold_id_23d59982_fk_reservations_hold_id FOREIGN KEY (hold_id) REFERENCES public.reservations_hold(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_seatclaim
    ADD CONSTRAINT reservations_seatclaim_seat_id_29e5404b_fk_concerts_seat_id FOREIGN KEY (seat_id) REFERENCES public.concerts_seat(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_ticket
    ADD CONSTRAINT reservations_ticket_reservation_id_fb88e44b_fk_reservati FOREIGN KEY (reservation_id) REFERENCES public.reservations_reservation(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.reservations_ticket
    ADD CONSTRAINT reservations_ticket_seat_id_6144f974_fk_concerts_seat_id FOREIGN KEY (seat_id) REFERENCES public.concerts_seat(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.shared_eventdelivery
    ADD CONSTRAINT shared_eventdelivery_event_id_468d169c_fk_shared_outboxevent_id FOREIGN KEY (event_id) REFERENCES public.shared_outboxevent(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.shared_idempotencyrecord
    ADD CONSTRAINT shared_idempotencyre_customer_id_ca302549_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_user(id) DEFERRABLE INITIALLY DEFERRED;

