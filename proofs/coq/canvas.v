(******************************************************************************)
(* The canvas: a rectangle of tokens, points of the grid, distances.          *)
(*                                                                            *)
(* In words. A canvas of d axes has the tokens k = (k_1, ..., k_d) with       *)
(* 0 <= k_a <= m_a; there are N = prod (m_a + 1) of them. A point is any      *)
(* vector of d integers, so tokens have a position among the points, and a    *)
(* point may lie off the canvas. The nearest token to a point t is            *)
(* its coordinatewise clamp, c. It is nearer than any other token k by as     *)
(* much as k is away from it, or more:                                        *)
(*   |k - t|^2 >= |c - t|^2 + |k - c|^2                         nearest_closer *)
(* which is the whole geometry behind the error, inside the canvas (c = t)    *)
(* and off it.                                                                *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Points: d integers, in pixels. Displacements and centers are points, too. *)
Notation point d := 'rV[int]_d.

(* Tokens of the canvas whose last coordinate along axis a is m a. *)
Notation token m := {dffun forall a, 'I_(m a).+1}.

Section Canvas.
Variables (d : nat) (m : 'I_d -> nat).
Implicit Types (k c : token m) (t : point d).

(* Where a token is. *)
Definition position k : point d := \row_a (k a : nat)%:Z.

Definition on_canvas t := [forall a, 0 <= t 0 a <= (m a)%:Z].

(* The number of tokens, N. *)
Definition tokens := #|{: token m}|.

(* The squared distance, a natural number. *)
Definition distance2 (s t : point d) : nat := \sum_a (`|(s 0 a - t 0 a)%R| ^ 2)%N.

(* The token nearest to a point: along each axis the coordinate, cut off. *)
Definition clamp n (x : int) : 'I_n.+1 :=
  inord (if x <= 0 then 0%N else minn `|x| n).

Definition nearest t : token m := [ffun a => clamp (m a) (t 0 a)].

Lemma clampE n (x : int) :
  (clamp n x : nat)%:Z = if x <= 0 then 0 else Num.min x n%:Z.
Proof.
rewrite /clamp inordK; last by case: ifP => // _; rewrite ltnS geq_minr.
case: ifP => // /negbT; rewrite -ltNge => x_gt0.
have -> : x = `|x|%N by rewrite gez0_abs// ltW.
rewrite absz_nat /minn /Num.min.
by case: ltnP => h; rewrite ltz_nat ?h ?(leq_gtF h).
Qed.

Lemma position_nearest t : on_canvas t -> position (nearest t) = t.
Proof.
move=> /forallP inside; apply/rowP=> a; rewrite !mxE ffunE clampE.
have /andP[t_ge0 t_le] := inside a.
by case: ifP => [t_le0|_]; [apply/eqP; rewrite eq_le t_ge0 t_le0 | rewrite min_l].
Qed.

Lemma on_canvas_position k : on_canvas (position k).
Proof. by apply/forallP => a; rewrite mxE !lez_nat leq0n -ltnS ltn_ord. Qed.

Lemma nearest_position k : nearest (position k) = k.
Proof.
apply/ffunP => a; rewrite ffunE; apply: val_inj.
have := position_nearest (on_canvas_position k).
by move=> /rowP/(_ a)/eqP; rewrite mxE [X in _ == X]mxE ffunE eqz_nat => /eqP.
Qed.

Lemma position_inj : injective position.
Proof. exact: can_inj nearest_position. Qed.

(* The nearest coordinate lies between a coordinate and the target.           *)
Lemma clamp_between n (k : 'I_n.+1) (x : int) (c := (clamp n x : nat)%:Z) :
  `|((k : nat)%:Z - x)%R|%N = (`|(c - x)%R| + `|((k : nat)%:Z - c)%R|)%N.
Proof.
apply/eqP; rewrite -eqz_nat PoszD !abszE /c clampE.
have k_le : (k : nat)%:Z <= n%:Z by rewrite lez_nat -ltnS ltn_ord.
case: ifP => [x_le0|_].
  rewrite sub0r subr0 !ger0_norm ?oppr_ge0//; first by rewrite addrC.
  by rewrite subr_ge0 (le_trans x_le0).
have [x_le|n_lt] := leP x n%:Z; first by rewrite subrr normr0 add0r.
rewrite [`|k%:Z - x|]ler0_norm ?[`|n%:Z - x|]ler0_norm ?[`|k%:Z - n%:Z|]ler0_norm.
- by rewrite !opprB subrKA.
- by rewrite subr_le0.
- by rewrite subr_le0 ltW.
by rewrite subr_le0 (le_trans k_le)// ltW.
Qed.

Lemma clamp_closer n (k : 'I_n.+1) (x : int) (c := (clamp n x : nat)%:Z) :
  (`|(c - x)%R| ^ 2 + `|((k : nat)%:Z - c)%R| ^ 2
   <= `|((k : nat)%:Z - x)%R| ^ 2)%N.
Proof. by rewrite (clamp_between k x) sqrnD leq_addr. Qed.

Theorem nearest_closer k t (c := nearest t) :
  (distance2 (position c) t + distance2 (position k) (position c)
   <= distance2 (position k) t)%N.
Proof.
rewrite -big_split; apply: leq_sum => a _.
by rewrite !mxE ffunE; apply: clamp_closer.
Qed.

Lemma distance2_eq0 s t : (distance2 s t == 0%N) = (s == t).
Proof.
rewrite sum_nat_eq0; apply/forallP/eqP => [zero|-> a]; last by rewrite subrr.
apply/rowP => a; move: (zero a); rewrite /= expn_eq0 absz_eq0 subr_eq0 andbT.
by move/eqP.
Qed.

Lemma distance2_self t : distance2 t t = 0%N.
Proof. by apply/eqP; rewrite distance2_eq0. Qed.

Lemma distance2_gt0 k c : k != c -> (0 < distance2 (position k) (position c))%N.
Proof. by rewrite lt0n distance2_eq0 (inj_eq position_inj). Qed.

Lemma tokens_gt0 : (0 < tokens)%N.
Proof. by apply/card_gt0P; exists (nearest 0). Qed.

End Canvas.

(* Over the tokens of a canvas a product of sums, one factor an axis, is the  *)
(* sum of the products.                                                       *)
Lemma sum_tokens (R : comRingType) d (m : 'I_d -> nat)
    (f : forall a : 'I_d, 'I_(m a).+1 -> R) :
  \sum_(k : token m) \prod_a f a (k a) = \prod_a \sum_i f a i.
Proof.
pose coordinate := {a : 'I_d & 'I_(m a).+1}.
pose at_axis (a : 'I_d) (i : 'I_(m a).+1) : coordinate :=
  Tagged (fun a => 'I_(m a).+1) i.
pose along (a : 'I_d) (c : coordinate) : 'I_(m a).+1 := tagged_as (at_axis a ord0) c.
have at_axisK a : cancel (at_axis a) (along a).
  by move=> i; rewrite /along tagged_asE.
have alongK a c : tag c == a -> at_axis a (along a c) = c.
  by case: c => b i /= /eqP ba; case: _ / ba; rewrite at_axisK.
pose into (k : token m) : {ffun 'I_d -> coordinate} := [ffun a => at_axis a (k a)].
pose back (g : {ffun 'I_d -> coordinate}) : token m := [ffun a => along a (g a)].
pose F (c : coordinate) := f (tag c) (tagged c).
have -> : (\prod_a \sum_i f a i) = (\prod_a \sum_(c | tag c == a) F c).
  apply: eq_bigr => a _; rewrite (reindex_onto (at_axis a) (along a)) => [|c].
    by apply: eq_big => [i|//]; rewrite at_axisK !eqxx.
  exact: alongK.
rewrite bigA_distr_big_dep (reindex_onto into back) /= => [|g /familyP of_axes].
  apply: eq_big => [k|k _]; last by apply: eq_bigr => a _; rewrite ffunE.
  apply/esym/andP; split; last first.
    by apply/eqP/ffunP => a; rewrite !ffunE at_axisK.
  by apply/familyP => a; rewrite ffunE unfold_in /= eqxx.
apply/ffunP => a; rewrite !ffunE alongK//.
by have := of_axes a; rewrite unfold_in.
Qed.
