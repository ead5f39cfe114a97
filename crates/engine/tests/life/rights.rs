//! What a key may do: never more than its role, its scopes, its owner and its team allow now.

use std::net::IpAddr;

use bytes::Bytes;
use tollgate_auth::{Granted, KeyText, KeysRead, OrgManage};
use tollgate_domain::{
    CustomRole, Membership, Permission, PermissionSet, PreviousMac, Role, RoleId, RoleRef, Team,
    TeamId, TeamMembership, TeamRole, User, UserId, UserKind,
};
use tollgate_engine::{Inbound, Reply, now, rights_of_user};
use tollgate_store::{ApiKeyStore, MembershipStore, RoleStore, TeamStore, UserStore};

use crate::provider::answer;
use crate::world::{World, ask, ask_for, error_of};

const USER: UserId = UserId::from_bytes([5; 16]);
const TEAM: TeamId = TeamId::from_bytes([6; 16]);
const ROLE: RoleId = RoleId::from_bytes([7; 16]);

fn world() -> World {
    let world = World::new();
    world.provider().always(answer(1, 1));
    world
}

fn user() -> User {
    User {
        id: USER,
        email: None,
        name: "ada".to_owned(),
        kind: UserKind::Human,
        password_hash: None,
        email_verified_at: None,
        totp: None,
        totp_last_step: None,
        recovery_macs: Vec::new(),
        is_platform_admin: false,
        blocked: false,
        failed_sign_ins: 0,
        last_failed_at: None,
        created_at: now(),
        deleted_at: None,
        version: 1,
    }
}

impl World {
    fn employ(&self, role: Role) {
        self.store.add_user(&user(), &self.audit()).unwrap();
        self.give(role);
    }

    /// An organization keeps its last owner, so that one who is to lose that is not alone.
    fn employ_other_owner(&self) {
        let id = UserId::from_bytes([9; 16]);
        let other = User { id, ..user() };
        self.store.add_user(&other, &self.audit()).unwrap();
        self.make(id, Role::OrgOwner);
    }

    fn give(&self, role: Role) {
        self.make(USER, role);
    }

    fn make(&self, user_id: UserId, role: Role) {
        let member = Membership {
            org_id: self.org,
            user_id,
            role: role.into(),
            created_at: now(),
        };
        self.store.set_membership(&member, &self.audit()).unwrap();
        self.engine.callers().refresh().unwrap();
    }

    fn team(&self, models: &[&str]) -> Team {
        let team = Team {
            id: TEAM,
            org_id: self.org,
            name: "team".to_owned(),
            models: models.iter().map(ToString::to_string).collect(),
            limits: tollgate_domain::Limits::default(),
            budget: None,
            blocked: false,
            created_at: now(),
            deleted_at: None,
            version: 1,
        };
        self.store.add_team(&team, &self.audit()).unwrap();
        team
    }

    async fn status(&self, key: &KeyText) -> u16 {
        self.engine.callers().refresh().unwrap();
        self.chat(key, &ask()).await.status
    }

    async fn chat_from(&self, key: &KeyText, address: Option<&str>) -> Reply {
        let body = Bytes::from(ask().to_string());
        let client_ip: Option<IpAddr> = address.map(|text| text.parse().unwrap());
        let inbound = Inbound {
            client_ip,
            ..Inbound::new(Ok(key.clone()), body)
        };
        self.worker.chat(inbound).await
    }
}

#[tokio::test]
async fn a_key_loses_what_its_owner_loses() {
    let world = world();
    world.employ_other_owner();
    world.employ(Role::OrgOwner);
    let (key, _) = world.key_with(|key| {
        key.owner = Some(USER);
        key.role = Role::OrgOwner.into();
    });
    assert_eq!(world.status(&key).await, 200);
    let caller = world
        .engine
        .callers()
        .authenticate(&key, None)
        .await
        .unwrap();
    assert!(Granted::<OrgManage>::check(caller.principal()).is_ok());

    world.give(Role::Viewer);
    assert_eq!(world.status(&key).await, 403);
    let caller = world
        .engine
        .callers()
        .authenticate(&key, None)
        .await
        .unwrap();
    assert!(Granted::<OrgManage>::check(caller.principal()).is_err());
    assert!(Granted::<KeysRead>::check(caller.principal()).is_ok());

    world.give(Role::Member);
    assert_eq!(world.status(&key).await, 200);
    let blocked = User {
        blocked: true,
        ..user()
    };
    world.store.update_user(&blocked, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 403);
    let freed = User {
        version: 2,
        ..user()
    };
    world.store.update_user(&freed, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 200);
    let left = world
        .store
        .remove_membership(world.org, USER, &world.audit());
    assert!(left.unwrap());
    assert_eq!(world.status(&key).await, 403);
    world.give(Role::Member);
    assert_eq!(world.status(&key).await, 200);
    drop(
        world
            .store
            .delete_user(USER, now(), &world.audit())
            .unwrap(),
    );
    assert_eq!(world.status(&key).await, 403);
}

#[tokio::test]
async fn an_owner_that_never_was_leaves_a_key_nothing() {
    let world = world();
    let (key, _) = world.key_with(|key| key.owner = Some(USER));
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (403, "permission_denied".to_owned()));
}

#[tokio::test]
async fn scopes_narrow_a_role_and_never_widen_it() {
    let world = world();
    let scope = |permissions: &'static [Permission], role: Role| {
        let (key, _) = world.key_with(|key| {
            key.role = role.into();
            key.scopes = Some(PermissionSet::of(permissions));
        });
        key
    };
    let narrowed = scope(&[Permission::KeysRead], Role::OrgOwner);
    assert_eq!(world.status(&narrowed).await, 403);
    let widened = scope(&[Permission::ModelsUse], Role::Viewer);
    assert_eq!(world.status(&widened).await, 403);
    let kept = scope(&[Permission::ModelsUse], Role::Member);
    assert_eq!(world.status(&kept).await, 200);
}

#[tokio::test]
async fn a_role_of_the_organization_is_looked_up_and_its_end_is_the_end_of_its_rights() {
    let world = world();
    let role = CustomRole {
        id: ROLE,
        org_id: world.org,
        name: "callers".to_owned(),
        permissions: PermissionSet::of(&[Permission::ModelsUse]),
        created_at: now(),
        version: 1,
    };
    let (key, _) = world.key_with(|key| key.role = RoleRef::Custom(ROLE));
    assert_eq!(world.status(&key).await, 403);
    world.store.add_role(&role, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 200);
    let emptied = CustomRole {
        permissions: PermissionSet::EMPTY,
        ..role
    };
    world.store.update_role(&emptied, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 403);
}

#[tokio::test]
async fn a_team_that_is_blocked_or_gone_takes_its_keys_with_it() {
    let world = world();
    let team = world.team(&[]);
    let (key, _) = world.key_with(|key| key.team_id = Some(TEAM));
    assert_eq!(world.status(&key).await, 200);
    let blocked = Team {
        blocked: true,
        ..team.clone()
    };
    world.store.update_team(&blocked, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 403);
    let freed = Team { version: 2, ..team };
    world.store.update_team(&freed, &world.audit()).unwrap();
    assert_eq!(world.status(&key).await, 200);
    let deleted = world
        .store
        .delete_team(world.org, TEAM, now(), &world.audit());
    assert!(deleted.unwrap().is_some());
    assert_eq!(world.status(&key).await, 403);
}

#[tokio::test]
async fn a_key_of_a_team_has_its_rights_there_alone() {
    let world = world();
    world.team(&["m*"]);
    world.employ(Role::Viewer);
    let member = TeamMembership {
        org_id: world.org,
        team_id: TEAM,
        user_id: USER,
        role: TeamRole::Member,
    };
    world
        .store
        .set_team_membership(&member, &world.audit())
        .unwrap();
    let (key, _) = world.key_with(|key| {
        key.team_id = Some(TEAM);
        key.owner = Some(USER);
        key.role = Role::OrgOwner.into();
    });
    assert_eq!(world.status(&key).await, 200);
    let caller = world
        .engine
        .callers()
        .authenticate(&key, None)
        .await
        .unwrap();
    assert!(Granted::<OrgManage>::check(caller.principal()).is_err());
    assert!(Granted::<KeysRead>::check(caller.principal()).is_err());
    assert!(Granted::<KeysRead>::on_team(caller.principal(), TEAM).is_ok());
    let rights = rights_of_user(&*world.store, world.org, USER).unwrap();
    assert!(caller.principal().rights.is_subset_of(&rights));
    assert!(!caller.may_use("other") && caller.may_use("m2"));
    let (outside, _) = world.key_with(|key| key.owner = Some(USER));
    assert_eq!(
        world.status(&outside).await,
        403,
        "a viewer outside of the team"
    );
}

#[tokio::test]
async fn a_team_lists_the_models_that_its_keys_may_call() {
    let world = world();
    world.team(&["other"]);
    let (key, _) = world.key_with(|key| key.team_id = Some(TEAM));
    let refused = world.chat(&key, &ask_for("m")).await;
    assert_eq!(error_of(&refused), (403, "model_not_allowed".to_owned()));
}

#[tokio::test]
async fn a_key_works_from_its_addresses_alone() {
    let world = world();
    let (key, _) = world.key_with(|key| key.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()]);
    for (address, status) in [
        (Some("10.1.2.3"), 200),
        (Some("::ffff:10.1.2.3"), 200),
        (Some("11.1.2.3"), 403),
        (Some("::1"), 403),
        (None, 403),
    ] {
        let reply = world.chat_from(&key, address).await;
        assert_eq!(reply.status, status, "{address:?}");
    }
    let refused = world.chat_from(&key, None).await;
    assert_eq!(error_of(&refused), (403, "address_not_allowed".to_owned()));
}

#[tokio::test]
async fn the_text_before_a_rotation_works_until_its_time_is_up() {
    let world = world();
    let (old, id) = world.key_with(|_| {});
    let new = KeyText::rotate(old.public_id()).unwrap();
    let rotate = |seconds| {
        let found = world.store.find_api_key(world.org, id).unwrap().unwrap();
        let rotated = tollgate_domain::ApiKey {
            mac: world.pepper.mac(&new),
            previous: Some(PreviousMac {
                mac: world.pepper.mac(&old),
                until: now().plus_seconds(seconds),
            }),
            ..found
        };
        world
            .store
            .update_api_key(&rotated, &world.audit())
            .unwrap();
    };
    rotate(60);
    assert_eq!(world.status(&new).await, 200);
    assert_eq!(world.status(&old).await, 200);
    rotate(-1);
    assert_eq!(world.status(&new).await, 200);
    assert_eq!(world.status(&old).await, 401);
}

#[tokio::test]
async fn a_blocked_key_is_refused_by_that_name_and_only_to_whoever_has_it() {
    let world = world();
    let (key, _) = world.key_with(|key| key.blocked = true);
    let refused = world.chat(&key, &ask()).await;
    assert_eq!(error_of(&refused), (403, "key_blocked".to_owned()));
    let guess = KeyText::rotate(key.public_id()).unwrap();
    let refused = world.chat(&guess, &ask()).await;
    assert_eq!(error_of(&refused), (401, "invalid_api_key".to_owned()));
}
